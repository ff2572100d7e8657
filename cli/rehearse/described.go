package rehearse

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Described is how an image runs, by its own configuration.
type Described struct {
	Env     []string // NAME=VALUE
	Command []string // the entrypoint and its arguments
	WorkDir string
}

// Describe reads how an image runs. Its errors are those of reading the image.
type Describe func(ctx context.Context, image string) (Described, error)

// ofTheImage are variables that speak of what an image has beside its release: here the release has this computer's.
var ofTheImage = []string{"PATH", "HOME"}

// env is the environment that the image gives, without what names a bucket, and the names of that.
func (d Described) env() (env, left []string) {
	for _, variable := range d.Env {
		switch name, _, ok := strings.Cut(variable, "="); {
		case !ok || !isName.MatchString(name) || slices.Contains(ofTheImage, name):
		case slices.Contains(ofStorage, name):
			left = append(left, name)
		default:
			env = append(env, variable)
		}
	}
	return env, left
}

// command is the image's own where that is a program of the release, which lies in dir here and in root there; else nil.
func (d Described) command(dir, root string) []string {
	if len(d.Command) == 0 {
		return nil
	}
	name := d.Command[0]
	if !filepath.IsAbs(name) {
		if !strings.Contains(name, "/") {
			return nil // found by PATH
		}
		name = filepath.Join(cmp.Or(d.WorkDir, "/"), name)
	}
	below, ok := strings.CutPrefix(filepath.Clean(name), root+"/")
	if !ok {
		return nil
	}
	if info, err := os.Stat(filepath.Join(dir, below)); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return append([]string{root + "/" + below}, d.Command[1:]...)
}

// likeSecrets are names of variables whose values nobody should read.
var likeSecrets = regexp.MustCompile(`SECRET|TOKEN|PASS|KEY|CREDENTIAL|DATABASE|_URL$|DSN`)

// secrets are those that the image's environment may have: builds leave some there.
func (d Described) secrets() Env {
	found := Env{}
	for _, variable := range d.Env {
		if name, value, _ := strings.Cut(variable, "="); likeSecrets.MatchString(name) {
			found[name] = value
		}
	}
	return found
}
