"""`mlops window add` and `remove`: where a window is put, and how one is taken out of use."""

from mlops_assets.adapters.landing.choose import landing_of
from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.window_store import WindowStore
from mlops_assets.cli.errors import UserError
from mlops_assets.cli.state import demand_own_state, demand_state
from mlops_assets.config import Settings
from mlops_assets.datasets.contract import read_dataset


def landing_folder(settings: Settings) -> FolderLanding:
    """The folder that windows land in.

    Raises:
        UserError: they land elsewhere, or it is not there, or the state is not this version's.
    """
    landing = landing_of(settings)
    if not isinstance(landing, FolderLanding):
        raise UserError(f"windows land in {settings.shown_location}: put it there with that place's own tools")
    if settings.source is None:
        demand_own_state(settings)
    elif not landing.folder.is_dir():
        raise UserError(f"windows land in {landing.folder}, which is not there: mount or make it")
    return landing


def remove_window(settings: Settings, window: str) -> None:
    """Takes a window out of use; what landed stays where it is.

    Raises:
        UserError: there is no loop, or it uses no such window.
    """
    demand_state(settings)
    if not WindowStore(settings.windows, read_dataset(settings.dataset)).remove(window):
        raise UserError(f"no window {window} is in use")
