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

// peerVariable names another server, as ENDPOINT BUCKET KEY SECRET, to be held against the contract by hand.
const peerVariable = "FLYDEPLOY_S3_PEER"

// Servers that share no code with the local Fly's keep it as well.
func TestOtherServersKeepTheContract(t *testing.T) {
	t.Parallel()
	peers := map[string]s3.Config{"versitygw": startVersity(t)}
	if peer := strings.Fields(os.Getenv(peerVariable)); len(peer) == 4 {
		peers[peer[0]] = s3.Config{Endpoint: peer[0], Region: "us-east-1", Bucket: peer[1], AccessKeyID: peer[2], SecretAccessKey: peer[3]}
	}
	for name, c := range peers {
		for _, s := range contract.StorageScenarios() {
			t.Run(name+"/"+s.Name, func(t *testing.T) {
				own := c
				own.App = "app_" + strings.ToLower(ulid.Make().String())
				s.Run(t, realBucket{t, own})
			})
		}
	}
}
