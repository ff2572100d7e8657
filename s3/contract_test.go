package s3_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine/agent/agenttest/contract"
	"flydeploy/s3"
	"flydeploy/s3/s3test"
)

// realBucket is a bucket of a real server, for the contract that the bucket in memory keeps as well.
type realBucket struct {
	t *testing.T
	c s3.Config
}

func (b realBucket) Open() contract.Storage { return open(b.t, b.c) }

func (b realBucket) Put(url string, headers map[string]string, body string) int {
	return upload(b.t, url, headers, body)
}

func (b realBucket) Get(url string) (int, string) {
	resp, err := http.Get(url)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheBucketKeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, s := range contract.StorageScenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.Run(t, realBucket{t, startServer(t)})
		})
	}
}

// peerVariable names another server, as ENDPOINT BUCKET KEY SECRET, to be held by hand against the contract, and to be raced for.
const peerVariable = "FLYDEPLOY_S3_PEER"

const seaweed = "SeaweedFS"

// others are servers that share no code with the local Fly's.
func others() map[string]func(*testing.T) s3.Config {
	all := map[string]func(*testing.T) s3.Config{"versitygw": startVersity}
	if s3test.Long() {
		all[seaweed] = func(t *testing.T) s3.Config { return s3test.Seaweed(t) }
	}
	if peer := strings.Fields(os.Getenv(peerVariable)); len(peer) == 4 {
		all[peer[0]] = func(*testing.T) s3.Config {
			return ofAppOfItsOwn(s3.Config{Endpoint: peer[0], Region: "us-east-1", Bucket: peer[1], AccessKeyID: peer[2], SecretAccessKey: peer[3]})
		}
	}
	return all
}

// ofAppOfItsOwn gives the bucket for an app that nobody else has: it may hold what was there before.
func ofAppOfItsOwn(c s3.Config) s3.Config {
	c.App = "app_" + strings.ToLower(ulid.Make().String())
	return c
}

func TestOtherServersKeepTheContract(t *testing.T) {
	t.Parallel()
	for name, start := range others() {
		c := start(t)
		for _, s := range contract.StorageScenarios() {
			t.Run(name+"/"+s.Name, func(t *testing.T) { s.Run(t, realBucket{t, ofAppOfItsOwn(c)}) })
		}
	}
}
