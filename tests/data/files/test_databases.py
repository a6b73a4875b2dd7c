"""Rows of queries: SQLite, DuckDB and PostgreSQL, in their types, and what they refuse."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from glob import glob
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data.source import read

SALES = """
create table sales (day date, pieces integer, price decimal(9, 2), share double precision,
                    town varchar(20), paid boolean);
insert into sales values ('2024-12-31', 5, 1.25, 0.5, 'Ulm', true),
                         ('2025-01-02', null, 3.50, 1e-30, null, false),
                         ('2025-01-03', 7, null, null, 'Bonn', null);
"""


@pytest.fixture
def sqlite(tmp_path):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as shop:
        shop.executescript(SALES)
    return f"sqlite:///{path}"


@pytest.fixture
def duckdb(tmp_path):
    path = tmp_path / "shop.duckdb"
    with import_module("duckdb").connect(str(path)) as shop:
        shop.execute(SALES)
    return f"duckdb:///{path}"


@pytest.fixture(scope="session")
def cluster():
    """The URL of a PostgreSQL server of our own."""
    folders = [*glob("/usr/lib/postgresql/*/bin"), *os.environ["PATH"].split(":")]
    binaries = next((f for f in reversed(folders) if Path(f, "initdb").exists()), None)
    if binaries is None:
        pytest.skip("there is no PostgreSQL on this machine")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = tempfile.mkdtemp(prefix="pg", dir="/tmp")
    if user:
        shutil.chown(folder, user)

    def call(program, *words):
        command = [f"{binaries}/{program}", "-D", f"{folder}/data", *words]
        subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call("initdb", "-A", "trust", "-U", "me", "--no-sync")
    call("pg_ctl", "-w", "-o", f"-F -p {port} -k {folder} -h 127.0.0.1", "-l", "/dev/null", "start")
    yield f"postgresql://me:secret@127.0.0.1:{port}/postgres"
    call("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def postgres(cluster):
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(cluster, autocommit=True) as shop, shop.cursor() as cursor:
        cursor.execute("drop table if exists sales")
        for statement in SALES.split(";")[:2]:
            cursor.execute(statement)
    return cluster


@pytest.fixture(params=["sqlite", "duckdb", "postgres"])
def db(request):
    return request.getfixturevalue(request.param)


def test_rows_come_in_the_types_of_the_database(db):
    found = read(attar.sql("select * from sales order by day", db)).data
    assert found["day"].tolist() == [
        pd.Timestamp("2024-12-31") + pd.Timedelta(i, "D") for i in (0, 2, 3)
    ]
    assert found["pieces"].astype(object).tolist() == [5, pd.NA, 7]
    assert found["price"].astype(float).tolist()[:2] == [1.25, 3.5]
    assert found["share"].astype(float).tolist()[:2] == [0.5, 1e-30]
    assert found["town"].astype(object).where(found["town"].notna(), None).tolist() == [
        "Ulm",
        None,
        "Bonn",
    ]
    assert found["paid"].astype(object)[:2].astype(bool).tolist() == [True, False]
    assert found["price"].isna().tolist() == [False, False, True]


MANY = {
    "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n where i < 70000) "
    "select i, i * 0.5 as half from n",
    "duckdb": "select i, i * 0.5::double as half from range(1, 70001) n(i)",
    "postgresql": "select i, i * 0.5 as half from generate_series(1, 70000) n(i)",
}


def test_many_rows_are_a_stream_that_does_not_run_the_query_again(db, monkeypatch):
    stream = attar.sql(MANY[db.partition(":")[0]], db)
    assert len([len(piece) for piece in stream]) > 1
    monkeypatch.setattr(type(stream.path), "_write", None)
    again = pd.concat(stream)
    assert (again["i"] == np.arange(1, 70_001)).all()
    assert (again["half"].astype(float) == again["i"] / 2).all()


REFUSED = {
    "select nope from sales": "nope",
    "select * from shops": "shops",
    "selec 1": "selec",
    "drop table sales": "",
    "delete from sales": "",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_fails_is_one_sentence_of_the_database(query, db, run):
    status, out, err = run("fit", "--sql", query, "--db", db, "-o", "m.attar")
    shown = db.replace("me:secret@", "")
    assert (status, out) == (2, "")
    assert err.startswith(f"attar: The query of {shown} fails: ")
    assert REFUSED[query] in err.lower()
    assert err.count("\n") == 1
    assert "secret" not in err
    assert not Path("m.attar").exists()
    assert len(read(attar.sql("select * from sales", db)).data) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sql", "select 1"], "--sql is a query of --db: give both, or none."),
        (["--db", "sqlite:///no.db"], "--sql is a query of --db: give both, or none."),
        (["--sql", "select 1", "--db", "sqlite:///no.db"], "There is no database no.db."),
        (["--sql", "select 1", "--db", "mysql://u:pw@h/x"], "A database is sqlite:///file"),
        (["--sql", "select 1", "--db", "no.db"], "A database is sqlite:///file"),
        (["digits", "--sql", "select 1", "--db", "sqlite:///no.db"], "--sql takes the place of"),
        ([], "There is no SOURCE: give a file, a data set, or --sql and --db."),
    ],
)
def test_options_of_databases_that_do_not_fit(words, message, run):
    status, out, err = run("fit", *words, "-o", "m.attar")
    assert (status, out) == (2, "")
    assert err.startswith(f"attar: {message}")
    assert "pw" not in err


def test_a_server_that_does_not_answer_is_said_without_the_password(run):
    db = "postgresql://me:secret@127.0.0.1:9/shop"
    status, _, err = run("inspect", "--sql", "select 1", "--db", db)
    assert status == 2
    assert err.startswith("attar: The query of postgresql://127.0.0.1:9/shop fails: ")
    assert "secret" not in err


def test_a_missing_driver_is_named_with_its_command(tmp_path, monkeypatch):
    (tmp_path / "a.duckdb").touch()
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(
        attar.FileError, match=r"duckdb: install it with pip install 'attar\[sql\]'"
    ):
        attar.sql("select 1", f"duckdb:///{tmp_path}/a.duckdb").read()


def test_rows_of_a_query_are_fitted_and_encoded(run, sqlite):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 3)), columns=list("abc"))
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as shop:
        frame.to_sql("rows", shop, index=False)
    rows = ("--sql", "select a, b, c from rows", "--db", sqlite)
    assert run("fit", *rows, "-o", "m.attar", "--epochs", 1)[0] == 0
    assert run("encode", "m.attar", *rows, "-o", "z.npy")[0] == 0
    assert (np.load("z.npy") == attar.load("m.attar").transform(frame)).all()
    # Each verb asks for rows in the same way.
    for verb in ("inspect", "reconstruct", "evaluate", "score", "report", "impute"):
        model = [] if verb == "inspect" else ["m.attar"]
        output = [] if verb in ("inspect", "evaluate") else ["-o", "o.csv"]
        status, _, err = run(verb, *model, *rows[:2], *output)
        assert (status, err) == (2, "attar: --sql is a query of --db: give both, or none.\n")


def test_bytes_in_a_column_are_refused(sqlite):
    message = r"^A column holds bytes, which are no data: leave it out\.$"
    with pytest.raises(attar.DataError, match=message):
        attar.sql("select x'00ff' as picture", sqlite).read()
