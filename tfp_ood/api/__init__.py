"""The package for Python programs: `tfp_ood.load_run`, `tfp_ood.fit`, `tfp_ood.OutlierDetector`.

`run.py` opens a finished run (`recorded.py` its config), `detector.py` is its guard, `fit.py`
trains as the command line does, `estimator.py` is a detector for scikit-learn, `images.py` what all
of them take. May import every wing but `rotated/`, and `stages.py`; not the command line.
TensorFlow starts when a model is used.
"""
