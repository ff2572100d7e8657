package s3_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"flydeploy/engine"
)

// seedDocument is current.json as fly_deploy's README shows it, with fields that we do not know.
const seedDocument = `{
  "image_ref": "registry.fly.io/my-app:deployment-01K93Q",
  "hot_upgrade": {
    "version": "1.2.3",
    "source_image_ref": "registry.fly.io/my-app:deployment-01K94R",
    "tarball_url": "https://fly.storage.tigris.dev/bucket/releases/my_app-1.2.3.tar.gz",
    "deployed_at": "2024-01-15T10:30:00Z"
  },
  "blue_green_upgrade": {"slots": [1, 2.50]}
}`

const currentKey = "releases/counter-current.json"

func TestMetadataKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	url, headers, err := b.PresignPut(t.Context(), currentKey, int64(len(seedDocument)), digest(seedDocument), ttl)
	if err != nil || upload(t, url, headers, seedDocument) != http.StatusOK {
		t.Fatalf("could not write the seed's document: %v", err)
	}
	m, etag, err := b.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.ImageRef != "registry.fly.io/my-app:deployment-01K93Q" || m.HotUpgrade.Version != "1.2.3" ||
		!m.HotUpgrade.DeployedAt.Equal(time.Date(2024, 1, 15, 10, 30, 0, 0, time.UTC)) {
		t.Errorf("read %+v", m)
	}
	m.HotUpgrade = nil
	m.SetImage(m.ImageRef + "@sha256:ab")
	m.MachineUpgrades = map[string]engine.HotUpgrade{"148e": {Version: "1.2.4", SHA256: "ab", Size: 7, ID: "01A"}}
	if err := b.WriteMetadata(t.Context(), m, etag); err != nil {
		t.Fatal(err)
	}
	get, err := b.PresignGet(t.Context(), currentKey, ttl)
	if err != nil {
		t.Fatal(err)
	}
	var stored map[string]json.RawMessage
	if err := json.Unmarshal([]byte(download(t, get)), &stored); err != nil {
		t.Fatal(err)
	}
	if got := compact(t, stored["blue_green_upgrade"]); got != `{"slots":[1,2.50]}` {
		t.Errorf("the unknown field is now %s", got)
	}
	if got := string(stored["image_ref"]); got != `"registry.fly.io/my-app:deployment-01K93Q"` {
		t.Errorf("image_ref is %s", got)
	}
	if got := string(stored["hot_upgrade"]); got != "null" {
		t.Errorf("hot_upgrade is %s", got)
	}
	again, _, err := b.Metadata(t.Context())
	if err != nil || again.MachineUpgrades["148e"].Version != "1.2.4" || again.HotUpgrade != nil || len(again.Extra) != 1 || again.FullImage() != m.ImageRef+"@sha256:ab" {
		t.Errorf("read back %+v, %v", again, err)
	}
}

func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	out, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestMetadataIsWrittenConditionally(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	if _, etag, err := b.Metadata(t.Context()); !errors.Is(err, engine.ErrNotFound) || etag != "" {
		t.Fatalf("absent: %q, %v", etag, err)
	}
	if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "a"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "b"}, ""); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	_, etag, err := b.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "c"}, etag); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "d"}, etag); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("over another version: %v", err)
	}
	if err := b.Delete(t.Context(), currentKey); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "e"}, etag); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("over a deleted version: %v", err)
	}
}

func TestMetadataSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range []int{1, 99} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			c := startServer(t)
			c.Transport = loseAnswers(lost)
			if err := open(t, c).WriteMetadata(t.Context(), engine.Metadata{ImageRef: "a"}, ""); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUnreadableMetadataIsAProblem(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", `{"image_ref":1}`, `{"hot_upgrade":{"deployed_at":"soon"}}`, `{"image_`} {
		b := open(t, startServer(t))
		url, headers, err := b.PresignPut(t.Context(), currentKey, int64(len(body)), digest(body), ttl)
		if err != nil || upload(t, url, headers, body) != http.StatusOK {
			t.Fatalf("could not write %q: %v", body, err)
		}
		_, _, err = b.Metadata(t.Context())
		wantProblem(t, err, "metadata_unreadable")
	}
}

func TestResultsLieBelowTheirUpgrade(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	for _, body := range []string{`{"status":"ok"}`, `{"status":"again"}`} {
		if err := b.WriteResult(t.Context(), "01A", "148e.json", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	url, err := b.PresignGet(t.Context(), "releases/counter-results/01A/148e.json", ttl)
	if err != nil {
		t.Fatal(err)
	}
	if got := download(t, url); got != `{"status":"again"}` {
		t.Errorf("got %s", got)
	}
	for _, bad := range [][2]string{{"", "x"}, {"01A", ""}, {"..", "x"}, {"01A", "../x"}, {"01A", "a b"}} {
		if err := b.WriteResult(t.Context(), bad[0], bad[1], nil); err == nil {
			t.Errorf("wrote %q", bad)
		}
	}
}
