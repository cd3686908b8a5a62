from profiler.fusion import LONGEST, PAIRS, chains_in, first_chains, grown
from profiler.kernels import FUSION_RULES
from profiler.network import Add, Conv2d, MaxPool2d, Network, Operator, Relu, Sigmoid, TensorSpec

IMAGE = TensorSpec("x", (1, 16, 16, 16))


def network(*operators: Operator) -> Network:
    return Network("n", [IMAGE], operators, [operators[-1].name])


RESIDUAL = network(
    Conv2d("a", ("x",), 16), Relu("r", ("a",)), Conv2d("b", ("r",), 16), Add("s", ("b", "x")), Relu("t", ("s",))
)


def test_pairs_of_all_built_in_rules_are_tested() -> None:
    built_in = {chain for rules in FUSION_RULES.values() for chain in rules.chains if len(chain) == 2}
    assert built_in <= set(PAIRS)


def test_growing_reaches_every_longer_built_in_chain() -> None:
    for rules in FUSION_RULES.values():
        reached = {chain for chain in PAIRS if chain in rules.chains}
        new = reached
        while new:
            new = {chain for chain in grown(new, ()) if chain in rules.chains}
            reached |= new
        assert reached == rules.chains


def test_a_model_limits_the_pairs_to_its_own() -> None:
    assert set(first_chains([RESIDUAL])) == {("conv2d", "relu"), ("conv2d", "add"), ("add", "relu")}


def test_growth_stays_in_the_model_and_goes_on_behind_activations_only_there() -> None:
    assert grown({("conv2d", "add")}, [RESIDUAL]) == (("conv2d", "add", "relu"),)
    assert grown({("conv2d", "relu")}, [RESIDUAL]) == ()
    assert grown({("conv2d", "relu")}, ()) == ()
    summed = network(Conv2d("a", ("x",), 16), Relu("r", ("a",)), Add("s", ("r", "x")))
    assert grown({("conv2d", "relu")}, [summed]) == (("conv2d", "relu", "add"),)


def test_growth_ends() -> None:
    assert grown({("pad", "conv2d", "add", "relu")}, ()) == ()
    assert max(map(len, chains_in([RESIDUAL]))) == LONGEST


def test_what_others_read_too_is_no_chain() -> None:
    branching = network(
        Conv2d("a", ("x",), 16), MaxPool2d("p", ("a",), stride=(1, 1), padding="same"), Sigmoid("g", ("a",)),
        Add("s", ("p", "g")),
    )  # fmt: skip
    assert not any(chain[0] == "conv2d" for chain in chains_in([branching]))
    output_too = Network("n", [IMAGE], [Conv2d("a", ("x",), 16), Relu("r", ("a",))], ["a", "r"])
    assert chains_in([output_too]) == frozenset()
