"""What a checkpoint must keep so that adaptation can find its way in another domain without a label.

All of it is read linearly from the clips' statistics, which a frozen encoder gives once and for all, so that it is
measured on training clips before training and holds however the connector learns.

    discriminant    a linear reader of the labels
    label_clouds    where the readings of each label's clips lie (`hf_mser.label_clouds`)
    speaker_traits  what tells speakers apart, and emotions not
    voice_gate      what tells low voices from high ones
    measuring       all of these, for a connector and its training clips
"""
