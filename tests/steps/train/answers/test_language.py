"""Which script and which language a text is in, where that is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.train.answers.language import LANGUAGE_OF, SMALL_WORDS, differs, language, script

TEXTS = {
    "English": "You can find the museum at the end of the street, and it would be open for you until six.",
    "German": "Das Museum ist am Ende der Straße und wird auch für Sie bis sechs Uhr nicht geschlossen.",
    "French": "Le musée est dans la rue du Port, et vous pouvez y entrer avec votre billet, mais pas le soir.",
    "Spanish": "El museo está al final de la calle, y los lunes puede ser más barato, pero también hay una cola.",
    "Italian": "Il museo è alla fine della strada, che gli ospiti sono felici di trovare anche nel buio.",
    "Portuguese": "O museu não é longe: você vai até uma praça em frente ao porto, com os barcos da cidade.",
    "Dutch": "Het museum is aan het einde van een straat, maar je kan er niet met de auto naar toe.",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_language_is_told_by_its_small_words(name: str) -> None:
    assert language(TEXTS[name]) == name
    assert script(TEXTS[name]) == "LATIN"


def test_each_language_has_words_of_its_own() -> None:
    assert {LANGUAGE_OF[word] for word in LANGUAGE_OF} == set(SMALL_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Музей находится в конце улицы.", "CYRILLIC"),
        ("博物馆在街道的尽头。六点以后就不开放了。", "HAN"),
        ("博物館は通りの突き当たりにあります。", "JAPANESE"),
        ("박물관은 거리 끝에 있습니다. 여섯 시까지.", "HANGUL"),
        ("المتحف في نهاية الشارع", "ARABIC"),
    ],
)
def test_a_script_is_told_by_its_letters(text: str, expected: str) -> None:
    assert script(text) == expected


def test_another_script_or_language_differs() -> None:
    assert differs(TEXTS["German"], TEXTS["English"])
    assert differs("博物馆在街道的尽头。六点以后就不开放了。", TEXTS["English"])
    assert not differs(TEXTS["English"], TEXTS["English"])


@pytest.mark.parametrize(
    "short", ["", "42", "Paris.", "東京", "get_weather(city='Lyon')", "Muzeum jest na końcu ulicy, tam."]
)
def test_what_cannot_be_told_is_not_called_different(short: str) -> None:
    assert not differs(short, TEXTS["English"])
    assert not differs(TEXTS["English"], short)


@given(st.text())
def test_any_text_is_in_its_own_language(text: str) -> None:
    assert not differs(text, text)
