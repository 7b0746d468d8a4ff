"""A hydra application, for its submitit launcher."""

from pathlib import Path

import hydra


@hydra.main(version_base=None, config_path=None)
def main(config) -> float:
    Path(config.folder, f"seen-{config.x}").write_text(str(config.x * 2))
    return config.x * 2


if __name__ == "__main__":
    main()
