package s3_test

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
)

const (
	firstID  = "01K94R0000000000000000000A"
	secondID = "01K94R0000000000000000000B"
	thirdID  = "01KA000000000000000000000A"
)

func TestOnlyOurDeploysAreListedAndDeleted(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	others := []string{"20250115-103000", "my_app-1.2.3", "01k94r0000000000000000000a", "81K94R0000000000000000000A", "01K94R"}
	for _, id := range append([]string{secondID, thirdID, firstID}, others...) {
		if err := b.WriteResult(t.Context(), id, "148e.json", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	list := func(want ...string) {
		t.Helper()
		if ids, err := b.Upgrades(t.Context()); err != nil || !slices.Equal(ids, want) {
			t.Errorf("listed %q, %v, want %q", ids, err, want)
		}
	}
	list(thirdID, secondID, firstID)
	for _, id := range append(others, "", ".", firstID+"/148e.json") {
		if err := b.DeleteUpgrade(t.Context(), id); err == nil {
			t.Errorf("deleted %q", id)
		}
	}
	if err := b.DeleteUpgrade(t.Context(), secondID); err != nil {
		t.Fatal(err)
	}
	list(thirdID, firstID)
	for _, id := range others {
		if _, err := b.Result(t.Context(), id, "148e.json"); err != nil {
			t.Errorf("the result of %s: %v", id, err)
		}
	}
}

func TestALargeRecordCanBeRead(t *testing.T) {
	t.Parallel()
	b := open(t, startServer(t))
	for _, test := range []struct {
		size    int
		tooMuch bool
	}{{5 << 20, false}, {64 << 20, false}, {64<<20 + 1, true}} {
		if err := b.WriteResult(t.Context(), firstID, "events.ndjson", bytes.Repeat([]byte("x"), test.size)); err != nil {
			t.Fatal(err)
		}
		doc, err := b.Result(t.Context(), firstID, "events.ndjson")
		if test.tooMuch {
			wantProblem(t, err, "object_too_large")
		} else if err != nil || len(doc.Body) != test.size {
			t.Errorf("%d bytes: read %d, %v", test.size, len(doc.Body), err)
		}
	}
	url, headers, err := b.PresignPut(t.Context(), currentKey, 4<<20+1, digest("x"), ttl)
	if err != nil || upload(t, url, headers, string(bytes.Repeat([]byte(" "), 4<<20+1))) != http.StatusOK {
		t.Fatalf("could not write a large current.json: %v", err)
	}
	_, _, err = b.Metadata(t.Context())
	wantProblem(t, err, "object_too_large")
}
