"""SERE: semi-supervised emotion recognition across languages from five labels per emotion (arXiv 2604.07417).

Read `recipe` for what can be set, `sounds` for what a task sounds like, `model`, `start` and `learning` for how it is
learned; the mathematics lies in `hf_mser.objectives.resonance` and `.resonance_field`.
"""
