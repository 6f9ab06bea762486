"""What the user left open, the cloud decides, or the user is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.model.offer import Flavor, Image, Network
from cloudmesh_cluster.model.spec import Spec
from cloudmesh_cluster.steps.choose import Choice, choice

DEBIAN = Image("i1", "debian-12", 0, 2)
SLURM = Image("i3", "debian-12-slurm", 0, 2, product="slurm")
SPARK = Image("i4", "debian-12-spark", 0, 2, product="spark")
UBUNTU = Image("i2", "ubuntu-24.04", 0, 0)
FLAVORS = (
    Flavor("f0", "tiny", 256, 1, 2),
    Flavor("f1", "small", 512, 1, 1),
    Flavor("f2", "medium", 1024, 2, 8),
)
LAN = Network("n1", "lan", external=False, shared=True)
HOME = Network("n2", "home", external=False, shared=False)
PUBLIC = Network("n3", "public", external=True, shared=False)


@dataclass(frozen=True)
class Offer:
    """A cloud with just these things."""

    all_images: tuple[Image, ...] = (DEBIAN,)
    all_networks: tuple[Network, ...] = (LAN,)
    routed: dict[str, str] = field(default_factory=dict)

    def images(self) -> tuple[Image, ...]:
        return self.all_images

    def flavors(self) -> tuple[Flavor, ...]:
        return FLAVORS

    def networks(self) -> tuple[Network, ...]:
        return self.all_networks

    def external_network_of(self, network_id: str) -> str | None:
        return self.routed.get(network_id)


def chosen(spec: Spec, offer: Offer, product: str = "plain") -> Choice:
    return choice(spec, offer, product=product, least_ram_mb=512, least_vcpus=1)


def test_the_only_image_and_network_and_the_smallest_fitting_flavor_are_taken() -> None:
    assert chosen(Spec(), Offer()) == Choice("i1", "medium", "medium", "n1", None)


def test_an_image_that_asks_for_no_disk_gets_the_smaller_flavor() -> None:
    assert chosen(Spec(), Offer(all_images=(UBUNTU,))).flavor == "small"


def test_the_image_that_the_product_was_baked_into_is_taken_and_told() -> None:
    picked = chosen(Spec(), Offer(all_images=(DEBIAN, SPARK, SLURM)), "slurm")
    assert (picked.image, picked.baked) == ("i3", "debian-12-slurm")


def test_an_image_baked_for_another_product_is_only_taken_when_it_is_named() -> None:
    offer = Offer(all_images=(DEBIAN, SPARK, SLURM))
    assert chosen(Spec(), offer, "hadoop").image == "i1"
    assert chosen(Spec(), offer, "hadoop").baked == ""
    assert chosen(Spec(image="debian-12-spark"), offer, "slurm").image == "i4"
    assert chosen(Spec(image="debian-12"), offer, "slurm").image == "i1"
    with pytest.raises(NotFound, match="no image"):
        chosen(Spec(), Offer(all_images=(SPARK,)), "slurm")
    with pytest.raises(UsageError, match="several images: debian-12, ubuntu"):
        chosen(Spec(), Offer(all_images=(DEBIAN, UBUNTU, SLURM)), "hadoop")


def test_the_master_may_have_another_flavor() -> None:
    picked = chosen(Spec(flavor="small", master_flavor="f2"), Offer())
    assert (picked.flavor, picked.master_flavor) == ("small", "medium")


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (Offer(all_images=(DEBIAN, UBUNTU)), "several images: debian-12, ubuntu-24.04"),
        (Offer(all_networks=(LAN, HOME)), "several networks: home, lan"),
        (Offer(all_networks=(HOME, PUBLIC)), "--external-network=public"),
    ],
)
def test_of_several_the_user_says_which(offer: Offer, words: str) -> None:
    with pytest.raises(UsageError) as asked:
        chosen(Spec(), offer)
    assert words in str(asked.value)


def test_a_cloud_with_nothing_says_what_is_missing() -> None:
    with pytest.raises(NotFound, match="no image that this project sees"):
        chosen(Spec(), Offer(all_images=()))
    with pytest.raises(NotFound, match="no network that this project sees"):
        chosen(Spec(), Offer(all_networks=()))


def test_a_network_behind_a_router_gets_the_routers_floating_ip() -> None:
    picked = chosen(Spec(network="home"), Offer(all_networks=(HOME, PUBLIC), routed={"n2": "n3"}))

    assert (picked.network, picked.external_network) == ("n2", "n3")
    assert picked.floating
    assert not picked.makes_network


def test_an_external_network_alone_means_a_network_of_the_clusters_own() -> None:
    picked = chosen(Spec(external_network="public"), Offer(all_networks=(HOME, PUBLIC)))

    assert picked.makes_network
    assert picked.external_network == "n3"


def test_nodes_straight_on_an_external_network_need_no_floating_ip() -> None:
    picked = chosen(Spec(network="public"), Offer(all_networks=(HOME, PUBLIC)))

    assert (picked.network, picked.floating) == ("n3", False)


def test_two_things_of_one_name_are_told_apart_by_id() -> None:
    twins = (Image("a", "debian", 0, 0), Image("b", "debian", 0, 0))
    with pytest.raises(UsageError, match="several of image 'debian'"):
        chosen(Spec(image="debian"), Offer(all_images=twins))
    assert chosen(Spec(image="b"), Offer(all_images=twins)).image == "b"


def test_everything_that_does_not_exist_is_told_at_once() -> None:
    with pytest.raises(NotFound) as caught:
        chosen(Spec(image="debian-13", flavor="smal", network="lam"), Offer())

    words = ["3 problems:", "no image 'debian-13'", "no flavor 'smal'", "no network 'lam'"]
    assert all(one in caught.value.problem for one in words)
    assert caught.value.problem.count("It has: ") == 3


def test_what_was_chosen_is_kept_for_the_plan() -> None:
    kept = chosen(Spec(master_flavor="medium", flavor="small"), Offer()).chosen

    assert kept is not None
    assert (kept.image, kept.network, kept.route_asked) == (DEBIAN, LAN, False)
    assert kept.flavors == {"master": FLAVORS[2], "worker": FLAVORS[1]}
    both = chosen(
        Spec(network="lan", external_network="public"), Offer(all_networks=(LAN, PUBLIC))
    ).chosen
    assert both is not None
    assert (both.external_network, both.route_asked) == ("n3", True)
