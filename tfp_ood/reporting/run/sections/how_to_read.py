"""What the figures of the page mean."""

from tfp_ood.reporting import html
from tfp_ood.reporting.run.evidence import Evidence, Section

_WORDS = """<ul>
<li>A <b>detector</b> gives every image a score; higher is more foreign. That of likelihood is
&minus;log&nbsp;p(x): what the model finds unlikely is called foreign. <b>All detectors combined</b>
sums up how rare each detector finds the image among images that were held out of the training; no
foreign image has a part in it.</li>
<li><b>The guard</b> flags an image whose combined score is too rare among held-out images: its
p-value is at most the share of false alarms that is allowed. To compare, likelihood alone flags as
many of the held-out images by a threshold on low likelihood.</li>
<li><b>AUROC</b> is the chance that a foreign image scores above one of the model&rsquo;s own.
1 is perfect, 0.5 is a coin. <b>Likelihood&rsquo;s, where it is below 0.5, is the failure this
program is about</b>: the model finds foreign images likelier than its own.</li>
<li><b>AUPRC</b> is the average precision with the foreign (out) or the own (in) images as
positive. It depends on the sizes of the sets, so its chance level is given with it.</li>
<li><b>FPR95, foreign positive</b>, is the share of the model&rsquo;s own images that are flagged
when 95&nbsp;% of the foreign ones are caught (as OpenOOD counts); <b>FPR95, own positive</b>, the
share of foreign images that are accepted when 95&nbsp;% of the own ones are (as ODIN counts). Of
both, lower is better.</li>
<li><b>Bits per dimension</b> is &minus;log<sub>2</sub>&nbsp;p(x) divided by the number of pixel
values of an image; lower is likelier, and guessing each value at random costs 8. The &plusmn; is
the standard deviation over images.</li>
<li>The <b>ranges</b> below figures are 95&nbsp;% bootstrap intervals: what they owe to which images
were scored. They say nothing about how another training would have come out.</li>
</ul>"""


def section(evidence: Evidence) -> Section:
    """The same words on every page."""
    return Section(html.section("How to read this", _WORDS))
