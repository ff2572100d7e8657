package release

import (
	"path"
	"strings"
)

// dropLeftOver forgets the files of libraries that the release does not have, as FlyDeployAgent.Release.left_over tells them: `mix release`
// leaves those of an earlier version where they were.
func (r *Release) dropLeftOver() error {
	listed, err := r.applications()
	if err != nil || len(listed) == 0 {
		return err
	}
	leftOver := map[string]bool{}
	for name := range r.files {
		if library, file, _ := strings.Cut(strings.TrimPrefix(name, "lib/"), "/"); isSpec(name, file) && !listed[library] {
			leftOver[library] = true
		}
	}
	for name := range r.files {
		below, ok := strings.CutPrefix(name, "lib/")
		if library, _, _ := strings.Cut(below, "/"); ok && leftOver[library] {
			delete(r.files, name)
		}
	}
	return nil
}

// isSpec reports whether a file is an application's .app; file is its name below the library's folder.
func isSpec(name, file string) bool {
	dir, base := path.Split(file)
	return strings.HasPrefix(name, "lib/") && dir == "ebin/" && path.Ext(base) == ".app"
}

// applications gives those that the release lists, as NAME-VSN; none where it has no list.
func (r *Release) applications() (map[string]bool, error) {
	listed := map[string]bool{}
	for name := range r.files {
		if ok, err := path.Match("releases/"+r.Version+"/*.rel", name); err != nil || !ok {
			continue // a version with such characters has no list
		}
		text, _, err := r.text(name)
		if err != nil {
			return nil, err
		}
		tokens := tokensOf(text)
		for i := 0; i+3 < len(tokens); i++ { // {NAME, "VSN"
			if tokens[i] == "{" && tokens[i+2] == "," && strings.HasPrefix(tokens[i+3], `"`) {
				listed[strings.Trim(tokens[i+1], "'")+"-"+strings.Trim(tokens[i+3], `"`)] = true
			}
		}
	}
	return listed, nil
}
