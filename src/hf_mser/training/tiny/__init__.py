"""How mser-tiny is made: a distilled encoder, a taught decoder, and the connector between them.

`training/make_mser_tiny.py` runs the stages in this order; each leaves its result in the work folder, and a run
that was cut short goes on from there.

    recipe        every number that the checkpoint depends on
    clips         the corpora's clips as mel spectra, as recorded and at other speeds
    recording     random rooms, microphones, lines and noises, applied to mel spectra
    distillation  a small Whisper encoder learns what a large one hears
    words         a tokenizer and a small LLaMA that knows which words mean which emotion
    domains       what is normal in a corpus, for a speaker, in the world
    connecting    the Emotion Q-Former learns to speak to that LLaMA
    assembly      the parts become one checkpoint
"""
