# %% data
# Where a ticket goes, and how soon: three inputs, two outputs with a loss each.
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

random = np.random.default_rng(18)
title_data = random.integers(1, 30, size=(50, 6))
body_data = random.integers(1, 30, size=(50, 9))
tag_data = random.integers(2, size=(50, 4)).astype("float32")
priority_data = random.random(size=(50, 1))
department_data = keras.utils.to_categorical(random.integers(3, size=50), 3)

# %% model
keras.utils.set_random_seed(47)
title = keras.Input(shape=(None,), name="title")
body = keras.Input(shape=(None,), name="body")
tags = keras.Input(shape=(4,), name="tags")
title_features = layers.LSTM(6)(layers.Embedding(30, 5)(title))
body_features = layers.LSTM(4)(layers.Embedding(30, 5)(body))
features = layers.concatenate([title_features, body_features, tags])
priority_pred = layers.Dense(1, activation="sigmoid", name="priority")(features)
department_pred = layers.Dense(3, activation="softmax", name="department")(features)
router = keras.Model(inputs=[title, body, tags], outputs={"priority": priority_pred, "department": department_pred})
router.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={"priority": "binary_crossentropy", "department": "categorical_crossentropy"},
    loss_weights={"priority": 1.0, "department": 0.2},
)

# %% fit
history = router.fit(
    {"title": title_data, "body": body_data, "tags": tag_data},
    {"priority": priority_data, "department": department_data},
    epochs=2,
    batch_size=10,
    shuffle=False,
    verbose=0,
)
