package agent

import (
	"context"
	"fmt"
	"slices"

	"flydeploy/engine"
)

// scriptImage describes the release on the disk of a machine that runs no VM, and the storage settings of the machine's
// environment. $1 is the release's root, $2 its name, "" for the only one. Secrets: the answer is never logged.
const scriptImage = `
root=$1
echo "FLYDEPLOY1 image"
read -r erts vsn < "$root/releases/start_erl.data"
for rel in "$root/releases/$vsn"/*.rel; do
  name=${rel##*/} name=${name%.rel}
  [ -x "$root/bin/$name" ] || continue
  [ -z "$2" ] || [ "$name" = "$2" ] || continue
  echo "FLYDEPLOY1 vm - -"
  echo "RELEASE_ROOT=$root"
  echo "RELEASE_NAME=$name"
  echo "RELEASE_VSN=$vsn"
  for lib in "$root/lib/$name"-*; do [ -d "$lib/ebin" ] && echo "OTP_APP=$name"; done
done 2>/dev/null
` + scriptStorageSettings

// imageRoot is where releases lie in images as `fly launch` and Phoenix make them.
const imageRoot = "/app"

// ImageStorage reads the storage settings of a machine that runs no VM, but has the image and the secrets of those that do,
// and describes the release on its disk. Settings that only a running VM knows, `config :fly_deploy`, are not among them.
func ImageStorage(ctx context.Context, exec Exec, of engine.Release) (VM, map[string]string, error) {
	const doing = "reading the storage settings of the image"
	if of.Root == "" {
		of.Root = imageRoot
	}
	out, err := run(ctx, exec, quick, doing, shell(scriptImage, of.Root, of.Name))
	if err != nil {
		return VM{}, nil, err
	}
	at := slices.Index(out, marker+"begin")
	if at < 0 || !out.whole() {
		return VM{}, nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	found := parseVMs(out[:at])
	if len(found) != 1 {
		return VM{}, nil, &Refusal{"image_without_release", fmt.Sprintf("%s: no release%s at %s", doing, withName(of.Name), of.Root)}
	}
	return found[0].VM, parseSettings(out[at:]), nil
}

func withName(name string) string {
	if name == "" {
		return ""
	}
	return " named " + name
}
