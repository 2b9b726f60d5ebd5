"""The links between Label Studio and the prelabel server."""

from __future__ import annotations

from prelabel.connect.doctor.check_results import CheckResult, broken, ok, warning
from prelabel.connect.doctor.examination import Examination
from prelabel.connect.running_server import ServerAbsent, ServerError, ServerNotReady
from prelabel.labelstudio.api.backends import AttachedBackend, same_url
from prelabel.labelstudio.api.request_guard import guard_refusal
from prelabel.labelstudio.api.webhooks import Webhook, webhook_headers, webhook_url
from prelabel.store.errors import shown
from prelabel.store.provisional import provisional_version
from prelabel.store.versions import serving_version


def database(exam: Examination) -> CheckResult:
    """Can the database be opened and read? Raises StoreError."""
    serving = serving_version(exam.database, exam.project_id)
    early = (
        provisional_version(exam.database, exam.project_id) if exam.settings.prelabel_provisional else None
    )
    named = serving.name if serving else early.name if early else "the base weights"
    return ok(f"{shown(exam.database.engine.url)}: {named} shall serve")


def server(exam: Examination) -> CheckResult:
    """Does the server answer this machine?"""
    try:
        url = exam.server.url
    except ServerAbsent as error:
        return broken(str(error), "start it with `prelabel serve`, or give its address with --url")
    if not same_url(url, exam.backend_url):
        return ok(f"at {url}; Label Studio knows it as {exam.backend_url}")
    return ok(f"at {url}")


def served_model(exam: Examination) -> CheckResult:
    """Is its model ready, and does it let us in?"""
    try:
        version = exam.served_version
    except ServerNotReady as error:
        return broken(str(error), "wait a few seconds and run this again; its log says what it waits for")
    except ServerError as error:
        return broken(str(error), "set BASIC_AUTH_USER and BASIC_AUTH_PASS as the server has them")
    return ok(version)


def same_weights(exam: Examination) -> CheckResult:
    """Does the server serve what the store and the settings here say, which `prelabel annotate` uses?"""
    if exam.served_version != exam.local_version:
        return warning(
            f"the server serves {exam.served_version}, here it would be {exam.local_version}",
            "give both the same PRELABEL_WEIGHTS, PRELABEL_HOME and PRELABEL_DATABASE_URL: labels and masks above "
            "are those of the weights here",
        )
    return ok("the server serves the weights that are used here")


def request_guard(exam: Examination) -> CheckResult:
    """Does Label Studio allow itself to call the server's address?"""
    if refusal := guard_refusal(exam.client, exam.project_id, exam.backend_url):
        return broken(refusal.reason, refusal.remedy)
    return ok(f"Label Studio may call {exam.backend_url} and send events to it")


def ml_backend(exam: Examination) -> CheckResult:
    """Is the server the project's ML backend, and does Label Studio reach it?"""
    backend = exam.backend
    if backend is None:
        others = ", ".join(one.url for one in exam.backends)
        among = f" (it has {others})" if others else ""
        return broken(f"the project has no ML backend at {exam.backend_url}{among}", exam.connect_command)
    if not backend.is_connected:
        return _disconnected(exam, backend)
    if exam.backends[0].id != backend.id:
        return broken(
            f"Label Studio asks only the first ML backend of a project: {exam.backends[0].url}",
            "remove that one in Settings > Model if prelabel is to answer",
        )
    return ok(f"{backend.title} at {backend.url} is {backend.state}")


def _disconnected(exam: Examination, backend: AttachedBackend) -> CheckResult:
    if backend.state == "Disconnected":
        return broken(
            f"Label Studio does not reach {backend.url}, or waits more than a second for its /health",
            "connect it under an address that the machine or container of Label Studio reaches: "
            f"`prelabel connect --project {exam.project_id} --url http://<name>:{exam.settings.port}`",
        )
    return broken(f"{backend.url} is {backend.state}: {backend.problem}", exam.connect_command)


def webhook(exam: Examination) -> CheckResult:
    """Do the events of the project reach the server?"""
    hooks = [hook for hook in exam.webhooks if same_url(hook.url, webhook_url(exam.backend_url))]
    if not hooks:
        return broken("there is no webhook: prelabel does not hear of new labels", exam.connect_command)
    hook, wanted = hooks[0], webhook_headers(exam.basic_auth, exam.settings.webhook_secret)
    if not hook.is_active:
        return broken(f"webhook {hook.id} is switched off", exam.connect_command)
    if any(hook.headers.get(name) != value for name, value in wanted.items()):
        return broken(
            f"webhook {hook.id} lacks the server's password or secret: every event is refused",
            exam.connect_command,
        )
    if not hook.is_complete:
        return warning(f"webhook {hook.id} does not send every event in full", exam.connect_command)
    if len(hooks) > 1:
        return warning(f"there are {len(hooks)} webhooks: every event is sent as often", exam.connect_command)
    if orphans := _orphans(exam):
        return warning(
            f"{', '.join(orphans)}: Label Studio waits for them at every label, and their ML backend is gone",
            "remove them in Settings > Webhooks unless something else listens there",
        )
    return ok(f"webhook {hook.id} sends every event")


def _orphans(exam: Examination) -> list[str]:
    """Addresses of webhooks that look like an ML backend's and have none: it stays when a backend is
    removed.
    """
    known = [webhook_url(url) for url in (exam.backend_url, *(one.url for one in exam.backends))]

    def is_orphan(hook: Webhook) -> bool:
        is_backends = hook.is_active and hook.url.rstrip("/").endswith("/webhook")
        return is_backends and not any(same_url(hook.url, url) for url in known)

    return [hook.url for hook in exam.webhooks if is_orphan(hook)]
