"""What is done once before containers' services start: `python -m devstack.set_up kafka|postgres`.

Both are idempotent, so they run at every start. Secrets are files, as a container is given them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException

from devstack.admission import wait_admitted
from devstack.broker import ADMIN, Broker
from devstack.errors import DevstackError
from devstack.kafka_admin import PLAIN, rights_for
from devstack.postgres import SUPERUSER
from devstack.postgres_roles import SECRET_GROUP, PostgresRoles
from devstack.registry import registered_institutions
from devstack.secret_store import SecretStore
from devstack.service import SERVICE_NAMES
from devstack.topic_list import DOWNSTREAM, institution_user, read_topics, topics_for
from oncomentor_contracts.topics import topic_of


def set_up_kafka(broker: Broker, clients_at: str, topics_file: Path) -> None:
    """Make topics, the services' users, and the rights of everybody who is in.

    Centers that were let in are known by their topics and by the registry; their users are made
    by whoever lets them in. `clients_at` is where services log in.
    """
    admin = broker.admin()
    admin.wait_ready()
    templates = read_topics(topics_file)
    admin.insist(lambda: admin.ensure_topics(topics_for(templates, ())))
    institutions = registered_institutions(broker) | _institutions_with_topics(admin.topics())
    topics = list(topics_for(templates, sorted(institutions)))
    services = [*SERVICE_NAMES, DOWNSTREAM]
    rights = rights_for(topics)
    admin.insist(lambda: admin.ensure_topics(topics))
    admin.ensure_users({user: broker.password(user) for user in (ADMIN, *services)})
    admin.ensure_rights(rights, [*services, *map(institution_user, institutions)])
    names = {topic.name for topic in topics}
    for user in services:
        seen = {one.name for one in rights if one.user == user and one.name in names}
        wait_admitted(clients_at, user, broker.password(user), seen)


def _institutions_with_topics(names: set[str]) -> set[str]:
    found = ((topic_of(name), name) for name in names)
    return {one for topic, name in found if topic and (one := topic.institution_in(name))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the job and return a process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m devstack.set_up", description=__doc__)
    parser.add_argument("--secrets", type=Path, required=True, help="folder of password files")
    jobs = parser.add_subparsers(dest="job", required=True)
    kafka = jobs.add_parser("kafka")
    kafka.add_argument("--admin-at", required=True, help="listener with PLAIN, host:port")
    kafka.add_argument("--clients-at", required=True, help="listener with SCRAM, host:port")
    kafka.add_argument("--topics", type=Path, required=True, help="deploy/kafka/topics.toml")
    postgres = jobs.add_parser("postgres")
    postgres.add_argument("--host", required=True)
    postgres.add_argument("--port", type=int, default=5432)
    postgres.add_argument("--sql", type=Path, required=True, help="deploy/postgres")
    asked = parser.parse_args(arguments)
    secrets = SecretStore(asked.secrets)
    try:
        if asked.job == "kafka":
            set_up_kafka(Broker(asked.admin_at, secrets, PLAIN), asked.clients_at, asked.topics)
        else:
            password = secrets.password(SECRET_GROUP, SUPERUSER).read_text()
            PostgresRoles(asked.sql, secrets).ensure(asked.port, password, host=asked.host)
    except (DevstackError, KafkaException, OSError) as error:
        sys.stderr.write(f"{asked.job}: {error}\n")
        return 1
    sys.stderr.write(f"{asked.job}: set up\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
