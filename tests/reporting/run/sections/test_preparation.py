"""The page says how images were prepared, and which files were left out."""

from tests.evaluation.fakes import table
from tests.reporting.pages import Parser
from tests.reporting.run.evidence import MNIST, OWN, evidence
from tfp_ood.reporting.run.sections.preparation import section

RECORD = {
    "size_change": "resize 9x9 -> 2x2",
    "skipped": [["a.png", "truncated"]],
    "not_looked_at": {"num_files": 1, "num_images": 1, "files": [["b.avif", "AVIF"]]},
}


def words(root, tables):
    made = section(evidence(root, tables))
    assert made.numbers is None
    return " ".join(Parser(made.html).text)


def test_how_images_were_prepared(tmp_path):
    said = words(tmp_path, [OWN, MNIST])
    assert "FashionMNIST fashion_mnist/test 2 x 2 x 3 not changed" in said
    assert "left out" not in said and "looked at" not in said


def test_files_that_were_left_out_are_listed(tmp_path):
    said = words(tmp_path, [OWN, table([3.0], "folder:/x/photos", "all", RECORD)])
    assert "resized from 9x9 to 2x2" in said
    assert "1 files were left out photos a.png truncated" in said
    assert "Files that were not looked at: 1, with what" in said and "photos b.avif AVIF" in said
