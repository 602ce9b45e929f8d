"""The composition root: settings in, service out."""

from collections.abc import Mapping

from matching_service import api
from matching_service.domain.taxonomy import Taxonomy
from matching_service.handlers import subscriptions
from matching_service.jobs import jobs
from matching_service.jobs.judge import Judge
from matching_service.settings import Settings
from matching_service.store.survivors import BlockReader
from oncomentor_contracts import vocabulary
from servicekit.errors import StartupError
from servicekit.security import load_key
from servicekit.service import Service, packaged


def build(settings: Settings) -> Service:
    """Return the service; nothing is connected yet.

    Raises:
        StartupError: the reader's key file holds no private key that fits.
    """
    key = load_key(settings.reader_key_file)
    if not key.is_private:
        raise StartupError(
            f"{settings.reader_key_file.name} holds a public key: write the private JWK whose "
            "public half the profile service seals for"
        )
    judge = Judge(taxonomy=taxonomy(), reader=BlockReader(key))
    return Service(
        name="matching",
        settings=settings,
        subscriptions=subscriptions(),
        jobs=jobs(judge),
        routers=(api.router,),
        migrations=packaged("matching_service"),
    )


def taxonomy() -> Taxonomy:
    """Return what the score needs of the vocabularies."""
    return Taxonomy(
        goals=_tree("goal"),
        topics=_tree("topic"),
        methods=_tree("method"),
        cancer_types=_tree("oncotree"),
        career_stages=_ladder("career_stage"),
        age_bands=_ladder("age_band"),
    )


def _tree(name: str) -> Mapping[str, tuple[str, ...]]:
    return {code: vocabulary.ancestors(name, code) for code in vocabulary.known(name)}


def _ladder(name: str) -> Mapping[str, int]:
    return {term.code: term.order for term in vocabulary.known(name).values()}
