package engine

import (
	"slices"
	"testing"
)

func TestNamesOfImages(t *testing.T) {
	const one, two = "r/a:main@sha256:11111111111111", "r/a:main@sha256:22222222222222"
	for _, c := range []struct{ refs, want []string }{
		{[]string{"r/a:1", "r/a:2@sha256:11"}, []string{"1", "2"}},
		{[]string{one, two, one, "r/a:2"}, []string{"main@sha256:111111111111", "main@sha256:222222222222", "2"}},
		{[]string{one, "r/a:main"}, []string{"main@sha256:111111111111", "main"}},
		{nil, nil},
	} {
		if got := ImageNames(c.refs...); !slices.Equal(got, c.want) {
			t.Errorf("%v are called %v, want %v", c.refs, got, c.want)
		}
	}
}

func TestImageOfARecord(t *testing.T) {
	const old, moved = "r/a:main@sha256:01", "r/a:main@sha256:02"
	runs := func(digest string) Machine { return Machine{ID: "m", Image: "r/a:main", Digest: digest} }
	md := Metadata{ImageRef: "r/a:main", HotUpgrade: &HotUpgrade{Version: "2.0.0"}}
	for _, digest := range []string{"", "sha256:01", "sha256:02"} { // a record from before digests were recorded
		if _, ok := md.UpgradeOf(runs(digest)); !ok {
			t.Errorf("a record without a digest is not for %q", digest)
		}
	}
	md.SetImage(old)
	if md.ImageRef != "r/a:main" || md.FullImage() != old {
		t.Errorf("got %+v", md)
	}
	for digest, want := range map[string]bool{"": true, "sha256:01": true, "sha256:02": false} {
		if _, ok := md.UpgradeOf(runs(digest)); ok != want {
			t.Errorf("upgrade for %q: %v", digest, ok)
		}
	}
	md.SetImageCode("c0de")
	if md.SetImageCode(""); md.ImageCode == nil || *md.ImageCode != (ImageCode{"r/a:main", "c0de"}) {
		t.Errorf("the image's code: %+v", md.ImageCode)
	}
	if md.SetImage("r/a:main"); md.FullImage() != old || md.ImageCode == nil {
		t.Errorf("a digest was forgotten: %+v", md)
	}
	if md.SetImage(moved); md.FullImage() != moved || md.ImageCode != nil {
		t.Errorf("a tag that moved: %+v", md)
	}
	md.ImageRef = "r/a:next" // written by somebody who does not know the field
	if md.FullImage() != "r/a:next" {
		t.Errorf("the digest of another image counts: %+v", md)
	}
	if md.SetImage("r/a:other"); md.ImageRef != "r/a:other" || md.Image != "" {
		t.Errorf("got %+v", md)
	}
}
