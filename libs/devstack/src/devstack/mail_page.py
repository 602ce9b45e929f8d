"""The inbox as pages: plain HTML, everything from a message escaped, no script."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from devstack.mailbox import Attachment, Mail

# No page may run or load anything; style is the one exception, and it is ours.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: 1rem }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e8e8e8 } a { color: #9cc4ff }
  th, td { border-color: #444 } pre { background: #23262d }
}
"""


def inbox_page(mails: Iterable[Mail]) -> str:
    """Return the list of messages, newest first as given."""
    rows = "".join(
        f"<tr><td><time>{_when(mail)}</time></td><td>{escape(', '.join(mail.envelope_to))}</td>"
        f'<td><a href="/messages/{escape(mail.id)}">{escape(mail.subject) or "(no subject)"}</a></td></tr>'
        for mail in mails
    )
    empty = "" if rows else "<p>No message has been caught yet.</p>"
    head = (
        "<tr><th scope=col>Received (UTC)</th><th scope=col>To</th><th scope=col>Subject</th></tr>"
    )
    return _page(
        "Caught mail",
        f"<h1>Caught mail</h1><p>Nothing here was delivered to anybody.</p>{empty}"
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>",
    )


def message_page(mail: Mail) -> str:
    """Return one message: headers, text, calendar files, and HTML as its source."""
    headers = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in mail.headers
    )
    html = f"<h2>HTML, as source</h2><pre>{escape(mail.html)}</pre>" if mail.html else ""
    return _page(
        mail.subject or "(no subject)",
        f'<p><a href="/">All messages</a> · <a href="/messages/{escape(mail.id)}.eml">raw</a></p>'
        f"<h1>{escape(mail.subject) or '(no subject)'}</h1><table><tbody>{headers}</tbody></table>"
        f"<h2>Text</h2><pre>{escape(mail.text)}</pre>{html}{''.join(map(_part, mail.attachments))}",
    )


def _part(part: Attachment) -> str:
    title = escape(f"{part.name or 'unnamed'} ({part.content_type})")
    content = "not text" if part.text is None else escape(part.text)
    return f"<h2>{title}</h2><pre>{content}</pre>"


def _when(mail: Mail) -> str:
    return datetime.fromtimestamp(mail.received_at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
