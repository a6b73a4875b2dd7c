"""Codes as features: scikit-learn searches the code size and the weight of the rate."""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

import attar


def main(epochs: int = 10) -> GridSearchCV:
    """Search on training digits, and print the test accuracy of the best."""
    digits = load_digits()
    X, X_test, y, y_test = train_test_split(digits.images, digits.target, random_state=0)
    pipeline = Pipeline(
        [
            ("codes", attar.Autoencoder("vae", epochs=epochs, random_state=0)),
            ("classify", KNeighborsClassifier()),
        ]
    )
    grid = {"codes__code_size": [4, 16], "codes__recipe__code__beta": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    print(f"{search.best_params_}: test accuracy {search.score(X_test, y_test):.1%}")
    return search


if __name__ == "__main__":
    main()
