"""What the figures of the page mean."""

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section

_WORDS = """<ul>
<li>The score of an image is &minus;log&nbsp;p(x): what the model finds unlikely is called foreign.
Out-of-distribution is the positive class.</li>
<li><b>AUROC</b> is the chance that a foreign image scores above one of the model&rsquo;s own.
1 is perfect, 0.5 is a coin. <b>Below 0.5 is the failure this program is about</b>: the model
finds foreign images likelier than its own.</li>
<li><b>AUPRC</b> is the average precision with the foreign (out) or the own (in) images as
positive. It depends on the sizes of the sets, so its chance level is given with it.</li>
<li><b>FPR95</b> is the share of the model&rsquo;s own images that are flagged when 95&nbsp;% of the
foreign ones are caught; lower is better. (Papers in the other lineage accept 95&nbsp;% of the own
images and count the foreign ones among them: another number.)</li>
<li><b>Bits per dimension</b> is &minus;log<sub>2</sub>&nbsp;p(x) divided by the number of pixel
values of an image; lower is likelier, and guessing each value at random costs 8. The &plusmn; is
the standard deviation over images.</li>
<li>The <b>ranges</b> below figures are 95&nbsp;% bootstrap intervals: what they owe to which images
were scored. They say nothing about how another training would have come out.</li>
</ul>"""


def section(evidence: Evidence) -> Section:
    """The same words on every page."""
    return Section(html.section("How to read this", _WORDS))
