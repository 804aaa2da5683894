"""--few N: of each parametrised test N cases only, spread over its list, for runs in which each takes long."""

import collections


def add_option(parser):
    parser.addoption("--few", type=int, default=0, metavar="N", help="of each parametrised test N cases only")


def keep_few(config, items):
    few = config.getoption("--few")
    if few <= 0:
        return
    cases = collections.defaultdict(list)
    for item in items:
        cases[(item.fspath, getattr(item, "cls", None), getattr(item, "originalname", None) or item.name)].append(item)
    left_out = set()
    for of_one in cases.values():
        if len(of_one) > few:
            kept = {round(n * (len(of_one) - 1) / max(1, few - 1)) for n in range(few)}
            left_out.update(item for n, item in enumerate(of_one) if n not in kept)
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
