package release

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
)

// imageOf is an image whose folder /app has files; what begins with "→ " is a link.
func imageOf(files map[string]string) engine.ReadImage {
	return func(_ context.Context, _, _ string, _ func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			f := engine.ImageFile{Name: name, Size: int64(len(files[name]))}
			f.Link, _ = strings.CutPrefix(files[name], "→ ")
			if f.Link == files[name] {
				f.Link = ""
			}
			if err := file(f, strings.NewReader(files[name])); err != nil {
				return "", err
			}
		}
		return "sha256:" + strings.Repeat("0", 64), nil
	}
}

func shop(more map[string]string) map[string]string {
	files := map[string]string{
		"releases/start_erl.data": "15.2 1.0.0\n", "lib/shop-1.0.0/ebin/shop.app": `{application,shop,[{vsn,"1.0.0"}]}.`, "lib/shop-1.0.0/priv/a.txt": "a",
	}
	maps.Copy(files, more)
	return files
}

func read(t *testing.T, files map[string]string) (*Release, error) {
	t.Helper()
	r, err := Read(t.Context(), imageOf(files), "registry.fly.io/shop:v1", "/app", nil)
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

func TestLinksAreWhatTheyLeadTo(t *testing.T) {
	r, err := read(t, shop(map[string]string{
		"lib/shop-1.0.0/priv/b.txt": "→ /app/lib/shop-1.0.0/priv/c.txt", "lib/shop-1.0.0/priv/c.txt": "→ /app/lib/shop-1.0.0/priv/a.txt",
		"bin/nothing": "→ /app/none",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if text, ok, err := r.text("lib/shop-1.0.0/priv/b.txt"); text != "a" || !ok || err != nil {
		t.Errorf("%q %v %v", text, ok, err)
	}
	if _, ok := r.files["bin/nothing"]; ok {
		t.Error("a link to nothing is a file")
	}
	for what, to := range map[string]string{"out of": "/etc/passwd", "to a folder": "/app/lib/shop-1.0.0", "to itself": "/app/lib/shop-1.0.0/priv/l", "no part": "/app/bin/shop"} {
		_, err := read(t, shop(map[string]string{"lib/shop-1.0.0/priv/l": "→ " + to, "bin/shop": "#!/bin/sh"}))
		if p := engine.AsProblem(err); p == nil || p.Name != "unreadable_image" || !strings.Contains(p.What, what) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestTheVersionInAnAppFile(t *testing.T) {
	for spec, want := range map[string]string{
		`{application,shop,[{vsn,"1.0.0"}]}.`: "1.0.0",
		"%% {vsn,\"0\"}\n{ application, 'shop',\n [{description,\"{vsn,\\\"2\\\"}\"},\n {vsn , \"1.2.3-rc.1+a\"},{modules,[]}]}.": "1.2.3-rc.1+a",
		`{application,other,[{vsn,"1.0.0"}]}.`:  "",
		`{application,shop,[]}.`:                "",
		`{application,shop,[{vsn,"../../x"}]}.`: "",
		``:                                      "",
		`{application,shop,[{vsn`:               "",
	} {
		if got := appVersion(spec, "shop"); got != want {
			t.Errorf("%s: %q", spec, got)
		}
	}
}

// `mix release` leaves the libraries of an earlier version in its folder. They are no part of the release, as its list tells.
func TestWhatAnEarlierVersionHasLeft(t *testing.T) {
	left := map[string]string{
		"lib/shop-0.9.0/ebin/shop.app": `{application,shop,[{vsn,"0.9.0"}]}.`, "lib/shop-0.9.0/ebin/Elixir.Shop.beam": "old",
		"lib/dropped-2.0.0/ebin/dropped.app": `{application,dropped,[{vsn,"2.0.0"}]}.`, "lib/dropped-2.0.0/priv/nif.so": "\x7fELF",
	}
	of := func(rel string) []string {
		files := shop(left)
		files["releases/1.0.0/shop.rel"] = rel
		r, err := read(t, files)
		if err != nil {
			t.Fatal(err)
		}
		made, err := r.Pack(t.Context(), "shop", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Close()
		return append(slices.Sorted(maps.Keys(r.files)), made.AppVersion)
	}
	const list = "%% coding: utf-8\n{release,{\"shop\",\"1.0.0\"},{erts,\"15.2\"},[{'kernel',\"10.2\",permanent},{shop,\"1.0.0\",permanent}]}.\n"
	want := []string{"lib/shop-1.0.0/ebin/shop.app", "lib/shop-1.0.0/priv/a.txt", "releases/1.0.0/shop.rel", "releases/start_erl.data", "1.0.0"}
	if got := of(list); !slices.Equal(got, want) {
		t.Errorf("with a list: %q", got)
	}
	if got := of(""); len(got) != len(want)+len(left) {
		t.Errorf("without a list all are its: %q", got)
	}
}

// Content that comes short is no file.
func TestContentThatIsShort(t *testing.T) {
	_, err := Read(t.Context(), func(_ context.Context, _, _ string, _ func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
		return "", file(engine.ImageFile{Name: "lib/shop-1.0.0/priv/a", Size: 9}, strings.NewReader("short"))
	}, "shop:1", "/app", nil)
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("%v", err)
	}
}

// Memory is not what a release's size is.
func TestALargeReleaseTakesLittleMemory(t *testing.T) {
	const files, size = 40, 1 << 20
	more := map[string]string{}
	for n := range files {
		more[fmt.Sprintf("lib/shop-1.0.0/priv/%02d", n)] = strings.Repeat(fmt.Sprint(n), size)[:size]
	}
	r, err := read(t, shop(more))
	if err != nil {
		t.Fatal(err)
	}
	pack := func() {
		made, err := r.Pack(t.Context(), "shop", nil, nil)
		if err != nil || made.Entries != files+3 || made.SHA256 == "" {
			t.Fatalf("%+v %v", made, err)
		}
		made.Close()
	}
	if allocated := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			pack()
		}
	}).AllocedBytesPerOp(); allocated > 8<<20 {
		t.Errorf("packing %d MB took %d MB", files*size>>20, allocated>>20)
	}
}
