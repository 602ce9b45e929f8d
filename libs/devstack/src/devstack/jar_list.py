"""Make the list of Kafka's jars anew: `python -m devstack.jar_list` (for maintainers).

Run it after changing `KAFKA_VERSION`, look at the difference, commit it.
"""

import hashlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from devstack.files import write_whole
from devstack.jars import LOCK, THREADS
from devstack.maven import repositories

KAFKA_VERSION = "4.4.0"
_HEAD = """\
# What Apache Kafka {version} runs with: Maven coordinates and the only content accepted for each.
# Made by `python -m devstack.jar_list`.
"""


def main() -> int:
    """Resolve, fetch and write the list into this package; return a process's exit status."""
    remote = {f"repository-{number}": url for number, url in enumerate(repositories())}
    with tempfile.TemporaryDirectory() as folder:
        artifacts = _resolve(MavenContext(repo_cache=Path(folder), remote_repos=remote))
        with ThreadPoolExecutor(THREADS) as pool:
            lines = sorted(pool.map(_line, artifacts))
    target = Path(__file__).with_name(LOCK)
    write_whole(target, _HEAD.format(version=KAFKA_VERSION) + "".join(lines), 0o644)
    sys.stdout.write(f"{len(lines)} jars in {target}\n")
    return 0


def _resolve(context: MavenContext) -> list[Artifact]:
    kafka = context.create_dependency(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")
    roots, others = context.resolver.resolve([kafka])
    artifacts = [found.artifact for found in (*roots, *others)]
    # Kafka logs through slf4j and brings Log4j, but not what joins the two. It is added by name:
    # resolved together with Kafka, its own table of versions would replace Kafka's.
    log4j = next(one.version for one in artifacts if one.artifactId == "log4j-core")
    joint = context.create_dependency(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}")
    return [*artifacts, joint.artifact]


def _line(artifact: Artifact) -> str:
    digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
    return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} sha256:{digest}\n"


if __name__ == "__main__":
    sys.exit(main())
