"""Settings: every variable validated at start, and the README's table made from them."""

import sys
from pathlib import Path

import pytest

from backend.acquisition import strategy_names
from backend.errors import SettingsError
from backend.settings import STRATEGIES, Settings

README = Path(__file__).resolve().parent.parent / "README.md"


def test_settings_are_the_documented_defaults_when_nothing_is_set():
    settings = Settings.from_environ({})
    assert settings.backbone == "vit_small_patch16_224.dino"
    assert (settings.port, settings.epsilon, settings.feature_blocks) == (9090, 0.2, 4)
    assert settings.finetune == "blocks:2"
    assert settings.budget is None


def test_settings_are_parsed_when_they_are_set():
    environ = {
        "LABEL_STUDIO_URL": "https://labels.example.com/label-studio/",
        "ALFAMIX_BUDGET": "25",
        "ALFAMIX_IMAGE_PX": "112",
        "PORT": "8000",
    }
    settings = Settings.from_environ(environ)
    assert settings.label_studio_url == "https://labels.example.com/label-studio"
    assert (settings.budget, settings.image_px, settings.port) == (25, 112, 8000)


def test_image_hosts_are_as_they_are_compared_when_they_are_set():
    named = " Minio,*.Images.example.COM. ,10.0.0.0/8,fd00::/8,192.168.1.20,::1, bücher.example,"
    assert Settings.from_environ({"ALFAMIX_IMAGE_HOSTS": named}).image_hosts == (
        *("minio", "*.images.example.com", "10.0.0.0/8", "fd00::/8", "192.168.1.20/32", "::1/128"),
        "xn--bcher-kva.example",
    )


def test_settings_are_defaults_when_variables_are_empty():
    assert Settings.from_environ({"ALFAMIX_BUDGET": " ", "PORT": ""}) == Settings()


def test_settings_raise_when_an_alfamix_name_is_unknown():
    with pytest.raises(SettingsError, match=r"ALFAMIX_BUGDET .*did you mean ALFAMIX_BUDGET"):
        Settings.from_environ({"ALFAMIX_BUGDET": "5"})


@pytest.mark.parametrize(
    ("variable", "value", "needed"),
    [
        ("PORT", "web", "whole number from 1 to 65535"),
        ("PORT", "70000", "whole number from 1 to 65535"),
        ("LABEL_STUDIO_URL", "localhost:8080", "a URL such as"),
        ("ALFAMIX_FINETUNE", "blocks", "head, full, or blocks:n"),
        ("ALFAMIX_BUDGET", "0", "whole number from 1"),
        ("ALFAMIX_STRATEGY", "magic", "one of auto, alfa-mix, "),
        ("ALFAMIX_EPSILON", "nan", "a number from"),
        ("ALFAMIX_EPSILON", "-1", "a number from"),
        ("ALFAMIX_BACKBONE_WEIGHTS", "/no/such/file.pth", "a file that exists"),
        ("ALFAMIX_DEVICE", "tpu", "auto, cpu"),
        ("ALFAMIX_IMAGE_HOSTS", "http://images.test", "host names (images.example.com)"),
        ("ALFAMIX_IMAGE_HOSTS", "images.test:9000", "separated by commas"),
        ("ALFAMIX_IMAGE_HOSTS", "images.test, 10.0.0.5/8", "'10.0.0.5/8' is none of them"),
        ("ALFAMIX_IMAGE_HOSTS", "a..b", "'a..b' is none of them"),
        ("ALFAMIX_IMAGE_HOSTS", "300.1.1.1", "'300.1.1.1' is none of them"),
        ("ALFAMIX_IMAGE_HOSTS", "*", "'*' is none of them"),
        ("LOG_LEVEL", "loud", "one of DEBUG"),
    ],
)
def test_settings_name_variable_value_and_need_when_a_value_is_wrong(variable, value, needed):
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({variable: value})
    assert variable in str(caught.value)
    assert value in str(caught.value)
    assert needed in str(caught.value)


def test_settings_show_no_password_when_a_url_is_wrong():
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL is a value; needed") as caught:
        Settings.from_environ({"LABEL_STUDIO_URL": "ftp://me:secret@ls.test"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:secret@db.example.com:5432/journal?sslmode=verify-full",
        "postgresql://me:secret@db/journal",
        "postgresql+psycopg:///journal?host=/run/postgresql",
    ],
)
def test_settings_take_the_url_of_a_postgresql_and_never_show_it(url):
    settings = Settings.from_environ({"ALFAMIX_DATABASE_URL": url})
    assert settings.database_url == url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@db/journal",
        "postgresql+psycopg2://me:secret@db/journal",
        "postgresql+psycopg://me:secret@db",
        "postgresql+psycopg://me:p@secret@db/journal",
        "secret",
    ],
)
def test_settings_say_what_a_database_url_needs_and_keep_its_password(url):
    with pytest.raises(SettingsError, match="ALFAMIX_DATABASE_URL is a value; needed is") as caught:
        Settings.from_environ({"ALFAMIX_DATABASE_URL": url})
    assert "secret" not in str(caught.value)
    assert "postgresql+psycopg://user:password@host/database" in str(caught.value)


def test_settings_name_what_to_install_when_the_driver_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    with pytest.raises(SettingsError, match=r"pip install 'psycopg\[binary\]'"):
        Settings.from_environ({"ALFAMIX_DATABASE_URL": "postgresql+psycopg://me:secret@db/journal"})


def test_settings_raise_when_a_user_has_no_password():
    with pytest.raises(SettingsError, match="set both or neither"):
        Settings.from_environ({"BASIC_AUTH_USER": "label-studio"})


def test_settings_show_no_secret_when_they_are_printed():
    environ = {
        "LABEL_STUDIO_API_KEY": "token-5",
        "BASIC_AUTH_USER": "label-studio",
        "BASIC_AUTH_PASS": "word-5",
    }
    settings = Settings.from_environ(environ)
    assert settings.label_studio_api_key == "token-5"
    assert "token-5" not in repr(settings)
    assert "word-5" not in repr(settings)


def test_readme_table_is_the_one_of_the_code():
    assert Settings.markdown_table() in README.read_text()


def test_labels_a_round_are_ten_a_class_unless_they_are_set():
    assert Settings().labels_a_round(4) == 40
    assert Settings(budget=7).labels_a_round(4) == 7


def test_strategies_are_those_of_the_registry():
    assert strategy_names() == STRATEGIES
