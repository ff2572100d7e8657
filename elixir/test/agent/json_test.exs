defmodule FlyDeployAgent.JsonTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Json

  test "writes what a status holds" do
    assert Json.encode(%{list: [1, "two", nil, true, :three]}) == ~s({"list":[1,"two",null,true,"three"]})
    assert Json.encode(%{}) == "{}"
    assert Json.encode([]) == "[]"
  end

  test "escapes quotes and backslashes" do
    assert Json.encode(~S(a "b" \c)) == ~S("a \"b\" \\c")
  end

  test "nothing can steer a terminal, and all is UTF-8" do
    assert Json.encode("\e[31m\n\0é" <> <<0x9B::utf8>>) == ~s(" [31m  é ")
    assert Json.encode(<<"a", 0xFF, "b">>) == ~s("a?b")
  end
end
