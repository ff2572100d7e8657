package s3_test

import (
	"io"
	"net/http"
	"testing"

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
