package fly_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

func TestAppsComePageByPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Query     string
			Variables struct{ After string }
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/graphql" || r.Header.Get("Authorization") != "Bearer fo1_x" {
			t.Errorf("%s %v %q", r.URL, err, r.Header)
		}
		switch asked.Variables.After {
		case "":
			fmt.Fprint(w, `{"data":{"apps":{"pageInfo":{"hasNextPage":true,"endCursor":"c1"},"nodes":[{"name":"shop","status":"DEPLOYED","organization":{"slug":"acme"},"currentRelease":{"createdAt":"2026-11-23T12:00:00Z"}}]}}}`)
		case "c1":
			fmt.Fprint(w, `{"data":{"apps":{"pageInfo":{"hasNextPage":false},"nodes":[{"name":"cron","status":"suspended","organization":{"slug":"personal"},"currentRelease":null}]}}}`)
		}
	}))
	defer server.Close()
	apps, err := fly.Apps(t.Context(), fly.Options{Token: "fo1_x", PlatformURL: server.URL})
	want := []engine.FlyApp{
		{Name: "shop", Org: "acme", Status: "deployed", Deployed: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}, {Name: "cron", Org: "personal", Status: "suspended"},
	}
	if err != nil || !slices.Equal(apps, want) {
		t.Errorf("%+v, %v", apps, err)
	}
}

func TestAppsThatATokenMayNotList(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"errors":[{"message":"You must be authenticated to view this."}],"data":null}`)
	}))
	defer server.Close()
	_, err := fly.Apps(t.Context(), fly.Options{Token: "fo1_x", PlatformURL: server.URL})
	if err == nil || !strings.Contains(err.Error(), "must be authenticated") || !strings.Contains(engine.AsProblem(err).Remedy, "--app") {
		t.Error(err)
	}
}

func TestAppsOfTheLocalFly(t *testing.T) {
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	apps, err := fly.Apps(t.Context(), fly.Options{Token: f.Token(), PlatformURL: f.APIURL()})
	if err != nil || len(apps) != 1 || apps[0].Name != "counter" || apps[0].Org != "personal" {
		t.Errorf("%+v, %v", apps, err)
	}
	if _, err := fly.Apps(t.Context(), fly.Options{Token: "fo1_wrong", PlatformURL: f.APIURL()}); err == nil {
		t.Error("another token lists apps")
	}
}
