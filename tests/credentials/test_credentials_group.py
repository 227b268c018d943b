from __future__ import annotations

import copy
import pickle
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.credentials.issuing import published

from acx.credentials.element import CURVE_B, ELEMENT_BYTES, FIELD, GENERATOR, Element
from acx.credentials.errors import (
    IdentityElement,
    MalformedElement,
    MalformedScalar,
    UnusableCredential,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H, LIBRARY, hash_to_group, total
from acx.credentials.hash_to_curve import expand_message, hash_to_field, map_to_curve
from acx.credentials.pycryptodome_element import PycryptodomeElement
from acx.credentials.scalar import ORDER, SCALAR_BYTES, Scalar

LIBRARIES: list[type[Element]] = list(dict.fromkeys([PycryptodomeElement, LIBRARY]))
OPENSSL_3 = ssl.OPENSSL_VERSION.startswith("OpenSSL ") and ssl.OPENSSL_VERSION_INFO >= (3,)
numbers = st.integers(0, ORDER - 1) | st.sampled_from([0, 1, 2, ORDER - 2, ORDER - 1])
each_library = pytest.mark.parametrize("library", LIBRARIES)


def generator(library: type[Element]) -> Element:
    return library.from_coordinates(*GENERATOR)


class TestScalars:
    @given(numbers, numbers)
    def test_are_numbers_modulo_the_order(self, a: int, b: int) -> None:
        one, other = Scalar.of(a), Scalar.of(b)
        assert one + other == Scalar.of((a + b) % ORDER)
        assert one - other == Scalar.of((a - b) % ORDER)
        assert one * other == Scalar.of(a * b % ORDER)
        assert -one == Scalar.of(-a % ORDER)

    @given(st.integers(1, ORDER - 1))
    def test_have_an_inverse(self, number: int) -> None:
        assert Scalar.of(number) * Scalar.of(number).inverse() == Scalar.of(1)

    def test_zero_has_no_inverse(self) -> None:
        with pytest.raises(UnusableCredential):
            Scalar.of(0).inverse()

    @given(numbers)
    def test_have_one_writing(self, number: int) -> None:
        encoding = Scalar.of(number).encode()
        assert encoding == number.to_bytes(SCALAR_BYTES, "big")
        assert Scalar.decode(encoding) == Scalar.of(number)

    @given(st.integers(ORDER, 2**256 - 1))
    def test_at_or_over_the_order_are_refused(self, number: int) -> None:
        with pytest.raises(MalformedScalar):
            Scalar.decode(number.to_bytes(SCALAR_BYTES, "big"))

    @given(st.binary(max_size=40).filter(lambda encoding: len(encoding) != SCALAR_BYTES))
    def test_of_another_length_are_refused(self, encoding: bytes) -> None:
        with pytest.raises(MalformedScalar):
            Scalar.decode(encoding)

    def test_are_not_drawn_from_a_generator_of_zeros(self) -> None:
        with pytest.raises(UnusableCredential, match="do not go on"):
            Scalar.random(bytes)

    @given(numbers)
    def test_do_not_show_in_logs(self, number: int) -> None:
        scalar = Scalar.of(number)
        assert repr(scalar) == str(scalar) == "Scalar(…)"

    def test_are_secret_unless_all_that_made_them_is_public(self) -> None:
        public, secret = Scalar.of(5, public=True), Scalar.of(7)

        def is_public(scalar: Scalar) -> bool:
            # The library goes by it when it chooses between the short and the blinded way.
            return scalar.value._public

        assert all(map(is_public, (public, public + public, -public, public * public)))
        assert not any(map(is_public, (secret, secret + public, public * secret, -secret)))


class TestElements:
    @each_library
    def test_multiply_as_published(self, library: type[Element]) -> None:
        # RFC 5903, section 8.1: a Diffie-Hellman exchange over P-256.
        i = 0xC88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433
        r = 0xC6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53
        g_i = library.from_coordinates(
            0xDAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180,
            0x5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3,
        )
        g_r = library.from_coordinates(
            0xD12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63,
            0x56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB,
        )
        g_ir = library.from_coordinates(
            0xD6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE,
            0x522BDE0AF0D8585B8DEF9C183B5AE38F50235206A8674ECB5D98EDB20EB153A2,
        )
        for public in (True, False):
            assert Scalar.of(i, public=public) * generator(library) == g_i
            assert Scalar.of(r, public=public) * generator(library) == g_r
            assert Scalar.of(r, public=public) * g_i == Scalar.of(i, public=public) * g_r == g_ir

    @each_library
    @given(a=numbers, b=numbers)
    def test_are_a_group_of_this_order(self, library: type[Element], a: int, b: int) -> None:
        g = generator(library)
        at_a, at_b = Scalar.of(a) * g, Scalar.of(b) * g
        assert at_a + at_b == at_b + at_a == Scalar.of((a + b) % ORDER) * g
        assert at_a - at_b == Scalar.of((a - b) % ORDER) * g
        assert Scalar.of(b) * at_a == Scalar.of(a * b % ORDER) * g
        assert (at_a - at_a).is_identity()
        assert total([at_a, at_b, -at_b]) == at_a

    @given(numbers)
    def test_are_the_same_by_every_library(self, number: int) -> None:
        products = [Scalar.of(number) * generator(library) for library in LIBRARIES]
        assert len(set(products)) == len({repr(product) for product in products}) == 1

    @each_library
    @given(st.integers(1, ORDER - 1))
    def test_have_one_writing(self, library: type[Element], number: int) -> None:
        element = Scalar.of(number) * generator(library)
        assert library.decode(element.encode()) == element
        assert library.decode(element.encode()).encode() == element.encode()
        assert library.decode((-element).encode()) + element == Scalar.of(0) * element

    @each_library
    @given(st.integers(1, ORDER - 1))
    def test_are_copied_and_pickled_by_value(self, library: type[Element], number: int) -> None:
        # Two owners of one pointer would free it twice.
        element = Scalar.of(number) * generator(library)
        double = element + element
        pickled = pickle.dumps(element)
        for again in (lambda: copy.copy(element), lambda: pickle.loads(pickled)):  # noqa: S301 -- our own
            copied = again()
            assert copied == element
            del copied
            assert Scalar.of(2) * element == double

    @each_library
    @pytest.mark.parametrize("encoding", [b"", b"\0", bytes(33)], ids=len)
    def test_the_identity_is_refused(self, library: type[Element], encoding: bytes) -> None:
        with pytest.raises(IdentityElement):
            library.decode(encoding)
        with pytest.raises(IdentityElement):
            (Scalar.of(0) * generator(library)).encode()

    @each_library
    @pytest.mark.parametrize(
        "encoding",
        [
            pytest.param(GENERATOR_G.encode()[:-1], id="short"),
            pytest.param(GENERATOR_G.encode() + b"\0", id="long"),
            pytest.param(b"\4" + GENERATOR_G.encode()[1:], id="uncompressed in 33 bytes"),
            pytest.param(
                b"\4" + b"".join(one.to_bytes(32, "big") for one in GENERATOR), id="uncompressed"
            ),
            pytest.param(
                b"\6" + b"".join(one.to_bytes(32, "big") for one in GENERATOR), id="hybrid"
            ),
            pytest.param(b"\5" + GENERATOR_G.encode()[1:], id="other first byte"),
            pytest.param(b"\1" + bytes(32), id="first byte 1"),
            pytest.param(b"\2" + FIELD.to_bytes(32, "big"), id="x is the prime"),
            # 5 is the x of a point, so that this would be a second writing of it.
            pytest.param(b"\2" + (FIELD + 5).to_bytes(32, "big"), id="x over the prime"),
            pytest.param(b"\2" + b"\xff" * 32, id="largest x"),
            pytest.param(b"\2" + (1).to_bytes(32, "big"), id="not on the curve"),
        ],
    )
    def test_other_writings_are_refused(self, library: type[Element], encoding: bytes) -> None:
        with pytest.raises(MalformedElement):
            library.decode(encoding)

    @each_library
    @given(st.sampled_from([b"\2", b"\3"]), st.binary(min_size=32, max_size=32))
    def test_every_point_is_read_and_nothing_else(
        self, library: type[Element], sign: bytes, x: bytes
    ) -> None:
        number = int.from_bytes(x, "big")
        square = (number**3 - 3 * number + CURVE_B) % FIELD
        is_point = number < FIELD and pow(square, (FIELD - 1) // 2, FIELD) in (0, 1)
        if is_point:
            assert library.decode(sign + x).encode() == sign + x
        else:
            with pytest.raises(MalformedElement):
                library.decode(sign + x)

    @pytest.mark.skipif(not OPENSSL_3, reason="this Python is linked with another library")
    def test_a_refused_point_leaves_no_error_behind_in_the_thread(self) -> None:
        from acx.credentials import openssl_element

        with pytest.raises(MalformedElement):
            openssl_element.OpensslElement.decode(b"\2" + (1).to_bytes(32, "big"))
        assert openssl_element._LIBRARY.ERR_peek_error() == 0

    @pytest.mark.skipif(not OPENSSL_3, reason="this Python is linked with another library")
    def test_are_computed_by_openssl_where_it_is_there(self) -> None:
        assert LIBRARY.__name__ == "OpensslElement"


class TestHashing:
    @pytest.mark.parametrize("name", ["rfc9380-expand-sha256", "rfc9380-expand-sha256-long-tag"])
    def test_expands_messages_as_published(self, name: str) -> None:
        suite = published(name)
        assert len(suite["tests"]) == 10
        for case in suite["tests"]:
            length = int(case["len_in_bytes"], 16)
            uniform = expand_message(case["msg"].encode(), suite["DST"].encode(), length)
            assert uniform.hex() == case["uniform_bytes"]

    @each_library
    def test_hashes_to_the_curve_as_published(self, library: type[Element]) -> None:
        suite = published("rfc9380-p256-sswu-ro")
        assert len(suite["vectors"]) == 5

        def coordinates(point: dict[str, str]) -> tuple[int, int]:
            return int(point["x"], 16), int(point["y"], 16)

        for case in suite["vectors"]:
            u0, u1 = hash_to_field(case["msg"].encode(), suite["dst"].encode(), 2, FIELD)
            assert [u0, u1] == [int(u, 16) for u in case["u"]]
            assert map_to_curve(u0) == coordinates(case["Q0"])
            assert map_to_curve(u1) == coordinates(case["Q1"])
            q0 = library.from_coordinates(*map_to_curve(u0))
            q1 = library.from_coordinates(*map_to_curve(u1))
            assert q0 + q1 == library.from_coordinates(*coordinates(case["P"]))

    @given(st.integers(0, FIELD - 1) | st.just(0))
    def test_maps_every_number_onto_the_curve(self, u: int) -> None:
        point = LIBRARY.from_coordinates(*map_to_curve(u))
        assert len(point.encode()) == ELEMENT_BYTES
        # The map's sign rule: u and -u go to opposite points.
        if u:
            assert LIBRARY.from_coordinates(*map_to_curve(FIELD - u)) == -point

    def test_maps_the_numbers_whose_denominator_is_zero(self) -> None:
        # u = 0, and zu² = -1 with z = -10: both go to x = B / (z·A), A = -3.
        x = CURVE_B * pow(30, -1, FIELD) % FIELD
        root = pow(pow(10, -1, FIELD), (FIELD + 1) // 4, FIELD)
        assert 10 * root * root % FIELD == 1
        assert [map_to_curve(u)[0] for u in (0, root, FIELD - root)] == [x] * 3

    def test_makes_the_drafts_second_generator(self) -> None:
        # Facts stated beside the draft's vectors.
        assert GENERATOR_H.encode().hex() == (
            "022d47ce5f78092b3e2b057228f47692d54fb6b554b1c1b1d5c93ee383b78483db"
        )

    def test_hashes_a_context_apart_from_its_uses(self) -> None:
        assert hash_to_group(b"context", b"Tag") != hash_to_group(b"context", b"SingleUseTag")
        assert hash_to_group(b"context", b"Tag") == hash_to_group(b"context", b"Tag")
