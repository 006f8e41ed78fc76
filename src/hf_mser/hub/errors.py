"""What the Hub's client reports, said so that the user can mend it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import MSERError

UNTOUCHED = "The repository is as it was before. Run the same command again: what is already there is not sent again."
QUOTA_WORDS = ("quota", "storage limit", "storage space")


class HubError(MSERError, OSError):
    """Something cannot be published as it is, or the Hub did not take it."""


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turn the client's exceptions into a `HubError` that says what to do.

    Example:
        >>> with explained("org/mser"):
        ...     pass
    """
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise HubError(
            "There is no token for the Hub. Run `hf auth login`, or set HF_TOKEN to a token with the right to write."
        ) from error
    except Exception as error:
        message = _explanation(error, repo)
        if message is None:
            raise
        raise HubError(message) from error


def _explanation(error: BaseException, repo: str) -> str | None:
    causes = list(_chain(error))
    said = " ".join(map(str, causes))
    if any(word in said.lower() for word in QUOTA_WORDS):
        return f"{repo}: the storage quota is used up. Free some space or ask for more. {UNTOUCHED}"
    if isinstance(error, ValueError) and "metadata" in said:
        return f"{repo}: the Hub does not accept the card. {error}"
    responses = [getattr(cause, "response", None) for cause in causes]
    statuses = [response.status_code for response in responses if response is not None]
    if statuses:
        return _of_status(statuses[-1], repo, str(causes[0]))
    # The client's HTTP library is httpx or its successor, by version.
    if any(type(cause).__module__.startswith(("httpx", "httpcore")) for cause in causes):
        return f"{repo}: the connection to the Hub broke ({causes[-1]}). {UNTOUCHED}"
    return None


def _of_status(status: int, repo: str, said: str) -> str:
    last = said.strip().splitlines()[-1] if said.strip() else ""
    if status == 401:
        return (
            "The Hub does not accept the token: it is wrong, expired, or revoked. Make a new one with the right to "
            "write in the settings of your account, then run `hf auth login --force` or set HF_TOKEN."
        )
    if status in (403, 404):
        return (
            f"{repo}: the token may not write there. Use a token with the right to write, of somebody who is a member "
            f"of {repo.split('/')[0]}. ({last})"
        )
    if status in (409, 412):
        return f"{repo}: somebody else changed the repository meanwhile. Run the same command again. ({last})"
    if status in (402, 413, 507):
        return f"{repo}: the Hub takes no more data from this account. ({last}) {UNTOUCHED}"
    return f"{repo}: the Hub answered with status {status}. ({last}) {UNTOUCHED}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
