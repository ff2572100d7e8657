package machine

import (
	"crypto/rand"
	"fmt"
	"math/big"
)

// privateIP is an address as machines have on Fly's network. Nothing listens there.
func privateIP(id []byte) string {
	return fmt.Sprintf("fdaa:0:1:a7b:%x:%x:%x:2", uint16(id[0])<<8|uint16(id[1]), uint16(id[2])<<8|uint16(id[3]), uint16(id[4])<<8|uint16(id[5]))
}

// publicIP is the address from which a machine reaches others, of the range for documentation (RFC 3849).
func publicIP(id string) string {
	return fmt.Sprintf("2001:db8:%s:%s:%s::1", id[:4], id[4:8], id[8:12])
}

// inventName makes a name in flyctl's manner.
func inventName() string {
	adjectives := []string{"aged", "bold", "calm", "damp", "fragrant", "lively", "misty", "quiet", "rough", "silent", "small", "wild"}
	nouns := []string{"brook", "cloud", "dew", "fire", "fog", "glade", "leaf", "moon", "pine", "river", "snow", "wave"}
	return fmt.Sprintf("%s-%s-%d", pick(adjectives), pick(nouns), 1000+number(9000))
}

func pick(words []string) string { return words[number(len(words))] }

func number(below int) int {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(below)))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return int(n.Int64())
}
