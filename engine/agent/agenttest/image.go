package agenttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
)

// erts is the emulator of all images and VMs.
const erts = "13.1.5"

// FilesOf gives what an image has below its release's folder, by name.
func FilesOf(image string) map[string]string {
	r := ReleaseOf(image)
	lib, release := "lib/"+App+"-"+r.Version, "releases/"+r.Version
	return map[string]string{
		"releases/start_erl.data":                   erts + " " + r.Version,
		release + "/sys.config":                     "[].\n",
		release + "/runtime.exs":                    "import Config\n",
		lib + "/ebin/" + App + ".app":               "{application," + App + ",[{vsn,\"" + r.Version + "\"}]}.\n",
		lib + "/ebin/Elixir.Counter.beam":           "FOR1 of " + r.SHA256,
		"lib/elixir-" + elixir + "/ebin/elixir.app": "{application,elixir,[]}.\n",
	}
}

// SetImage says what an image has below its release's folder; nil is FilesOf.
func (w *World) SetImage(files map[string]string) { w.locked(func() { w.files = files }) }

// ReadImage is an engine.ReadImage of the world's images.
func (c *Console) ReadImage(ctx context.Context, image, folder string, layers func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
	return ask(ctx, c.world, Call{Console: c.name, Kind: ReadImage, Arg: image}, func() (string, error) {
		c.world.mu.Lock()
		files, takes := c.world.files, c.world.timing.Pack
		c.world.mu.Unlock()
		if files == nil {
			files = FilesOf(image)
		}
		if err := pause(ctx, takes); err != nil {
			return "", err
		}
		if folder != root {
			return "", fmt.Errorf("the image has nothing in %s", folder)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := file(engine.ImageFile{Name: name, Size: int64(len(files[name]))}, strings.NewReader(files[name])); err != nil {
				return "", err
			}
		}
		if layers != nil {
			layers(1, 1)
		}
		sum := sha256.Sum256([]byte(image))
		return "sha256:" + hex.EncodeToString(sum[:]), nil
	})
}
