package local

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The arrows between the rooms: what each of them imports. What stands in for Fly shares no code with what talks to Fly,
// so that a mistake cannot cancel itself out: the rooms import nothing of ours but each other.
var mayImport = map[string][]string{
	".":         {"api", "described", "fault", "isolation", "machine", "registry", "run", "storage"},
	"api":       {"fault", "machine"},
	"described": {},
	"fault":     {},
	"isolation": {"run"},
	"machine":   {"isolation", "run"},
	"registry":  {"fault", "run"},
	"run":       {},
	"storage":   {"fault"},
}

// rooms begins the import paths of all rooms.
const rooms = "flydeploy/fly/local/"

func TestImportsFollowTheArrows(t *testing.T) {
	seen := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		room, imports := filepath.Dir(path), importsOf(t, path)
		if strings.HasSuffix(path, "_test.go") { // tests may take any room for a stand-in
			imports = slices.DeleteFunc(imports, func(name string) bool { return strings.HasPrefix(name, rooms) })
		}
		seen[room] = append(seen[room], imports...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room, imports := range seen {
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("room %s is not in mayImport: add it with its arrows", room)
		}
		for _, imported := range imports {
			if name, ok := strings.CutPrefix(imported, rooms); !ok || !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s", room, imported)
			}
		}
	}
	for room, allowed := range mayImport {
		for _, name := range allowed {
			if !slices.Contains(seen[room], rooms+name) {
				t.Errorf("%s imports %s no more: take it out of mayImport", room, name)
			}
		}
	}
}

// importsOf are a file's imports of this module, for whatever system the file is.
func importsOf(t *testing.T, path string) (ours []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if imported == "flydeploy" || strings.HasPrefix(imported, "flydeploy/") {
			ours = append(ours, imported)
		}
	}
	return ours
}
