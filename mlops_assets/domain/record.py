"""What every part of the gate's evidence has in common."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, with the keys that it names and no other, and with numbers that JSON can say."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
