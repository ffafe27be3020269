"""A model's methods for the Hugging Face Hub, with the Hub's usual names."""

from pathlib import Path
from typing import TypeVar, cast

Model = TypeVar("Model", bound="HubMethods")


class HubMethods:
    """`save_pretrained`, `from_pretrained` and `push_to_hub`; the code is in `interop/hub.py`, and needs an extra."""

    def save_pretrained(self, folder: Path | str, *, run: Path | str | None = None) -> Path:
        """Write the model into a new folder: `model.safetensors`, `config.json` and a model card.

        Args:
            folder: new or empty.
            run: folder of the run that trained it: the card then includes data, test error and training.

        Returns:
            The folder, which `capsnet.load` takes.

        Raises:
            UserError: the folder holds something, or the extra `hub` is not installed.

        Example:
            >>> capsnet.load("runs/quickstart").save_pretrained("my-digits", run="runs/quickstart")
        """
        # imported late here and below: the implementation is in packages that import this one
        from capsnet.interop.hub import save_pretrained

        return save_pretrained(self, folder, run=run)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        run: Path | str | None = None,
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        commit_message: str = "Push model with capsnet",
    ) -> str:
        """Upload what `save_pretrained` writes.

        Args:
            repo_id: `owner/name`; created if it does not exist.
            run: folder of the run that trained it, for the model card.
            private: visibility of a new repository; None: the account's default.
            token: access token of an account; None: the one stored on this machine.
            branch: branch to push to; None: main.
            commit_message: message of the commit.

        Returns:
            The URL of the commit.

        Raises:
            UserError: the Hub cannot be reached or refuses, or the extra `hub` is not installed.
        """
        from capsnet.interop.hub import push_to_hub

        return push_to_hub(
            self, repo_id, run=run, private=private, token=token, branch=branch, commit_message=commit_message
        )

    @classmethod
    def from_pretrained(
        cls: type[Model],
        source: Path | str,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: Path | str | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Model:
        """Load a model from the Hub or from a folder that `save_pretrained` made, in eval mode.

        Args:
            source: `owner/name`, or a folder.
            revision: a branch, tag or commit on the Hub; None: main.
            token: access token of an account; None: the one stored on this machine.
            cache_dir: folder for downloads; None: the Hub's default.
            force_download: download the model again even if it is in the cache.
            local_files_only: use only the cache.

        Raises:
            UserError: no such model, no connection, or a model of another class than this.

        Example:
            >>> capsnet.models.CapsuleModel.from_pretrained("owner/name")
        """
        from capsnet.interop.hub import from_pretrained

        return cast(
            Model,
            from_pretrained(
                cls,
                source,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            ),
        )
