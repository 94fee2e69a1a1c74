"""The gateway of the tests of interoperation, where it is not as it comes: what stands in its configuration, in this one place."""

import os

from hosts import LAB, run_checked

USER, PASSWORD = "traveller", "k%lsch:0.2l"  # with what URLs and user:password are cut at
USERS_FILE = f"{LAB}/users"

SOCKS4_LISTENER = "socks4 = true"  # in each [[listener]]
DEMANDS_PASSWORD = f'[auth]\nmethods = ["password"]\nusers_file = "{USERS_FILE}"'


def make_users_file():
    """Of one user; crypt(3) of today's common kind."""
    if not os.path.exists(USERS_FILE):
        hashed = run_checked(["openssl", "passwd", "-6", PASSWORD])
        with open(os.open(USERS_FILE, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{USER}:{hashed}")
