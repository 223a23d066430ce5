# shellcheck shell=sh
# Sourced by the recipes after `set -eu`: where the data lies, and one training after the other.
#
#   SMILE_DATA      the folder with the data (../shared/data, from the project's folder); models/README.md names what lies there
#   SMILE_RECIPES   the folder for what is made on the way and for the finished weights (target/recipes)
#   SMILE_TRAIN     a smile-train that is built already; otherwise cargo builds it
#   EPOCHS          epochs of each training, to try a recipe out
#   PYTHON          a Python with numpy and opencv-python-headless, for the recipes that need it

cd "$(dirname "$0")/../.." || exit
data=${SMILE_DATA:-../shared/data}
made=${SMILE_RECIPES:-target/recipes}

fail() { printf 'Error: %s\n' "$*" >&2; exit 1; }

# Ends where one of these is missing in the data, before hours are spent.
need() {
    for name in "$@"; do
        [ -e "$data/$name" ] ||
            fail "there is no $data/$name; models/README.md says what it is and where it comes from, and SMILE_DATA names the folder"
    done
}

# Ends where Python can't run the scripts that label and gather pictures.
need_python() {
    "${PYTHON:-python3}" -c 'import cv2, numpy; cv2.FaceDetectorYN' 2>/dev/null ||
        fail "${PYTHON:-python3} has no numpy or no opencv-python-headless; install both, or name another interpreter with PYTHON"
}

python() { "${PYTHON:-python3}" "$@"; }

smile_train() {
    if [ -n "${SMILE_TRAIN:-}" ]; then
        "$SMILE_TRAIN" "$@"
    else
        cargo run --release --locked --quiet --bin smile-train -- "$@"
    fi
}

# train NAME EPOCHS [options]: weights $made/NAME.safetensors. What is there stays, and what was interrupted goes on.
train() {
    name=$1
    epochs=${EPOCHS:-$2}
    shift 2
    mkdir -p "$made"
    if [ -s "$made/$name.safetensors" ]; then
        echo "$made/$name.safetensors is there already."
        return
    fi
    # Under another name until it is finished: an interrupted run leaves weights, too.
    [ ! -f "$made/$name.part.safetensors.checkpoint" ] || set -- "$@" --resume
    smile_train "$@" --epochs "$epochs" --out "$made/$name.part.safetensors"
    mv "$made/$name.part.safetensors" "$made/$name.safetensors"
    echo "$made/$name.safetensors is made."
}
