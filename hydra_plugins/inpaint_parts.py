"""Where Hydra finds the options of a researcher's own parts (`inpaint.parts`): it asks plugins of this namespace."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PartsSearchPath(SearchPathPlugin):
    """Adds the folder ``conf/`` of each part to the search path of our own commands, and of no other program's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders, behind our own and those of the command line."""
        from inpaint.config import conf_dir
        from inpaint.parts import PROVIDER, parts

        ours = str(conf_dir())
        if ours not in (str(element.path).removeprefix("file://") for element in search_path.get_path()):
            return
        for part in parts().values():
            if part.conf is not None:
                search_path.append(f"{PROVIDER}{part.module}", f"file://{part.conf}")
