# The prediction service: its own locked packages and its own code, nothing of the graph.
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY deploy/serving.lock .
# Beside the two files that its page needs, Swagger UI's package brings 23 MB of an editor.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r serving.lock \
  && find /usr/local/lib -path '*/swagger_ui/static/swagger-editor*' -delete
COPY deploy/with-secrets /usr/local/bin/
COPY serving serving
# The graph reads what the service writes, and the other way round: both images have the same user.
RUN python -m compileall -q serving \
  && useradd --uid 10001 --no-create-home --home-dir /tmp mlops \
  && install -d -o mlops -g mlops /state /keys /releases
VOLUME /state
USER mlops
# Inside the container only; compose publishes the port on the host's loopback.
ENV SERVING_HOST=0.0.0.0 SERVING_PORT=8000 SERVING_RELEASES=/releases SERVING_STATE=/state \
    SERVING_KEYS=/run/secrets/keys.json
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --start-interval=1s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["with-secrets"]
CMD ["python", "-m", "serving"]
