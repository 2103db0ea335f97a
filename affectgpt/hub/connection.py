"""Turn each failure of the Hub's client into one error with a hint. No message shows a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from typing import Any

from affectgpt.registry.errors import AffectGPTError, CheckpointError, ConfigError, RunError

SECONDS = 10
"""How long to wait for the Hub's first answer."""
_OFFLINE = "unset HF_HUB_OFFLINE to go online, or give the folder of a saved model"
_UNREACHED = "check the network and HF_ENDPOINT, or give the folder of a saved model"
_TOKEN = "log in with `hf auth login`, or put a token into the variable HF_TOKEN"


@contextmanager
def hub_errors(where: str, token: str | None = None) -> Iterator[None]:
    """Turn errors that the Hub's client raises inside the block into errors of this package that name `where`.

    ConfigError or CheckpointError when the name, the revision or the token is wrong, RunError for the rest.
    """
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    # The client also warns (about a repeated request, a missing token): one error is enough.
    logging.set_verbosity(ERROR)
    try:
        yield
    except (AffectGPTError, KeyboardInterrupt):
        raise
    except Exception as error:
        # `from None`: a client's own error may hold the header with the token, and --debug prints causes.
        raise _as_error(error, where, token) from None
    finally:
        logging.set_verbosity(verbosity)


def endpoint() -> str:
    """The address of the Hub in use."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def transport_error() -> Any:
    """The base of the errors of a request that got no answer: of httpx, or of what the installed client has instead."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__mro__[1]


def _as_error(error: Exception, where: str, token: str | None) -> AffectGPTError:
    from huggingface_hub import errors

    for cause in _causes(error):
        if isinstance(cause, errors.OfflineModeIsEnabled):
            return RunError(
                "the Hub cannot be asked: HF_HUB_OFFLINE is set",
                where=where,
                found="no copy in the cache",
                hint=_OFFLINE,
            )
        if isinstance(cause, errors.GatedRepoError):
            return CheckpointError(
                "the owner of this repository must grant you access",
                where=where,
                found=_status(cause),
                hint=f"ask for access on its page, then {_TOKEN}",
            )
        if isinstance(cause, errors.RevisionNotFoundError):
            return CheckpointError(
                "there is no such revision of this repository",
                where=where,
                found=_status(cause),
                expected="a branch, a tag or a commit",
                hint="see its list of commits",
            )
        if isinstance(cause, errors.RepositoryNotFoundError) or (_code(cause) == 401 and not (token or _saved_token())):
            # Without a token, the Hub gives the same answer for a private repository and a missing one.
            return CheckpointError(
                "there is no such repository on the Hub, or it is private",
                where=where,
                found=_status(cause),
                expected="a folder on this machine, or owner/name",
                hint=f"check the name; if it is private, {_TOKEN}",
            )
        if isinstance(cause, errors.HfHubHTTPError):
            return _refusal_as_error(cause, where, token)
        if isinstance(cause, transport_error()):
            return RunError(
                "the Hub cannot be reached",
                where=f"{where} at {endpoint()}",
                found=type(cause).__name__,
                hint=_UNREACHED,
            )
    if isinstance(error, OSError) and error.errno is not None:
        return RunError(
            "the disk refuses the download",
            where=str(error.filename or where),
            found=error.strerror or "",
            hint="make room, or set HF_HOME to another place",
        )
    return RunError(
        "the talk with the Hub failed", where=f"{where} at {endpoint()}", found=type(error).__name__, hint=_UNREACHED
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    visited: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in visited:
        visited.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _code(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _status(error: BaseException) -> str:
    return f"the Hub answered {_code(error) or 'nothing'}"


def _refusal_as_error(error: BaseException, where: str, token: str | None) -> AffectGPTError:
    status = _code(error)
    server_message = " ".join(str(getattr(error, "server_message", None) or "").split())[:300]
    for secret in filter(None, (token, _saved_token())):
        server_message = server_message.replace(secret, "[the token]")
    problem = _status(error) + (f": {server_message}" if server_message else "")
    if status == 401:
        return ConfigError("the Hub refuses the token", where=where, found=problem, hint=_TOKEN)
    if status == 403:
        return ConfigError(
            "the Hub does not allow this", where=where, found=problem, hint="use a token with the right to write there"
        )
    return RunError("the Hub refuses this", where=f"{where} at {endpoint()}", found=problem, hint="try again later")


def _saved_token() -> str | None:
    from huggingface_hub import get_token

    return get_token()
