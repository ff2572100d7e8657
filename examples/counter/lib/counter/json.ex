defmodule Counter.JSON do
  @moduledoc "Encodes maps, lists, strings, atoms, integers and pids as JSON. Keys of maps come out sorted."

  def encode(true), do: "true"
  def encode(false), do: "false"
  def encode(nil), do: "null"
  def encode(atom) when is_atom(atom), do: encode(Atom.to_string(atom))
  def encode(integer) when is_integer(integer), do: Integer.to_string(integer)
  def encode(pid) when is_pid(pid), do: encode(List.to_string(:erlang.pid_to_list(pid)))
  def encode(string) when is_binary(string), do: [?", escape(string), ?"]
  def encode(list) when is_list(list), do: [?[, Enum.map_intersperse(list, ?,, &encode/1), ?]]

  def encode(map) when is_map(map) do
    pairs = map |> Enum.map(fn {key, value} -> {to_string(key), value} end) |> Enum.sort()
    [?{, Enum.map_intersperse(pairs, ?,, fn {key, value} -> [encode(key), ?:, encode(value)] end), ?}]
  end

  defp escape(string), do: for(<<char::utf8 <- string>>, do: escape_char(char))

  defp escape_char(char) when char in [?", ?\\], do: [?\\, char]
  defp escape_char(char) when char < 0x20, do: :io_lib.format("\\u~4.16.0b", [char])
  defp escape_char(char), do: <<char::utf8>>
end
