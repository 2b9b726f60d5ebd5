"""How often the gate errs: equal, worse, better and shuffled candidates against a serving version, by images.

    python benchmarks/gate.py [--trials 150]

The detectors are made of dice (measuring/synthetic.py), so that the truth about them is known; what they answer is
compared by the product's own compare(), each at its own operating point. Prints the share that is promoted.
"""

from __future__ import annotations

import argparse

from measuring.synthetic import Blocks, DiceDetector, Skill

from fbnetv3.judging import SCORE_THRESHOLD, Effort, ImageFindings, Served, compare, findings_of

IMAGES = (3, 5, 10, 20, 50)
SERVING = Skill(found=0.6, spread=0.06, alarms=1.5)
CANDIDATES = {
    "equal": SERVING,
    "slightly worse": Skill(found=0.57, spread=0.063, alarms=1.7),
    "worse": Skill(found=0.5, spread=0.07, alarms=2.0),
    "slightly better": Skill(found=0.63, spread=0.057, alarms=1.3),
    "better": Skill(found=0.7, spread=0.05, alarms=1.2),
    "much better": Skill(found=0.8, spread=0.04, alarms=1.0),
    "shuffled labels": Skill(found=0.7, spread=0.05, alarms=1.2, guesses=True),
}
#: Against nothing that serves, by the number of labels.
SHUFFLED_KINDS = (2, 3, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=150)
    trials = parser.parse_args().trials
    print(f"share promoted of {trials}; images: {', '.join(map(str, IMAGES))}")
    for masks in (True, False):
        print("objects with masks" if masks else "boxes only")
        for name, skill in CANDIDATES.items():
            shares = (promoted(skill, SERVING, count, trials, masks=masks) for count in IMAGES)
            print(f"  {name:32}" + "".join(f"{share:8.3f}" for share in shares))
        for kinds in SHUFFLED_KINDS:
            skill = CANDIDATES["shuffled labels"]
            shares = (promoted(skill, None, count, trials, kinds, masks) for count in IMAGES)
            name = f"shuffled, {kinds} labels, none serves"
            print(f"  {name:32}" + "".join(f"{share:8.3f}" for share in shares))


def promoted(
    candidate: Skill, serving: Skill | None, images: int, trials: int, kinds: int = 3, masks: bool = True
) -> float:
    """The share of trials, each with other images and other errors, in which the candidate is promoted."""
    passed = 0
    for trial in range(trials):
        truth = Blocks(images, trial, kinds, masks)
        new = found(DiceDetector(candidate, truth, 2 * trial, masks))
        old = Served(found(DiceDetector(serving, truth, 2 * trial + 1, masks))) if serving else None
        result = compare(new, old, truth.labels, effort=Effort(), score_threshold=SCORE_THRESHOLD)
        passed += result.decision.promoted
    return passed / trials


def found(detector: DiceDetector) -> dict[str, ImageFindings]:
    """By the numbers of the images."""
    return dict(zip(map(str, range(len(detector.truth))), findings_of(detector, detector.truth), strict=True))


if __name__ == "__main__":
    main()
