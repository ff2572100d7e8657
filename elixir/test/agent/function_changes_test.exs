Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.FunctionChangesTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFacts, FunctionChanges, Versions}

  @moduletag :tmp_dir

  @cart """
  defmodule T.Cart do
    @moduledoc "Holds items."
    def total(items), do: Enum.reduce(items, 0, fn item, sum -> sum + price(item) end)
    def names(items), do: for(item <- items, do: item.name)
    def empty?(items), do: items == []
    defp price(item), do: item.price
  end
  """

  # The changes of one module between two sources.
  defp changes(old, new, dir) do
    [{module, old_beam}] = Enum.to_list(Versions.beams(old))
    change = %{module: module, change: :changed, old_file: file(dir, "old", old_beam)}
    [{^module, new_beam}] = Enum.to_list(Versions.beams(new))
    all([Map.put(change, :source, file(dir, "new", new_beam))])[module]
  end

  defp all(changes) do
    FunctionChanges.each(changes, &CodeFacts.functions_in/1, &send(self(), {&1, &2}))

    for %{module: module} <- changes,
        into: %{},
        do: {module, receive(do: ({^module, functions} -> functions))}
  end

  defp file(dir, name, beam) do
    path = Path.join(dir, name <> ".beam")
    File.write!(path, beam)
    path
  end

  defp edited(pairs), do: Enum.reduce(pairs, @cart, fn {from, to}, text -> String.replace(text, from, to) end)

  test "functions that were added, changed and removed, private ones too", %{tmp_dir: dir} do
    new =
      edited([
        {"def empty?(items), do: items == []", "def count(items), do: length(items)"},
        {"item.price", "item.price * 2"}
      ])

    assert changes(@cart, new, dir) == %{added: ["count/1"], changed: ["price/1"], removed: ["empty?/1"]}
  end

  test "what changes within a function changes it", %{tmp_dir: dir} do
    assert %{added: [], changed: ["total/1"], removed: []} =
             changes(@cart, edited([{"sum + price", "price"}]), dir)

    assert %{changed: ["names/1"]} = changes(@cart, edited([{"item.name", "item.title"}]), dir)
  end

  test "other lines and comments change no function", %{tmp_dir: dir} do
    new =
      edited([{"Holds items.", "Holds what a customer wants."}, {"def names", "\n  # theirs\n  def names"}])

    assert changes(@cart, new, dir) == %{added: [], changed: [], removed: []}
  end

  test "of an added module these are its exports; a file that cannot be read keeps nobody from being told", %{
    tmp_dir: dir
  } do
    [{module, beam}] = Enum.to_list(Versions.beams(@cart))

    found =
      all([
        %{module: Gone, change: :changed, old_file: Path.join(dir, "none"), source: Path.join(dir, "none")},
        %{module: module, change: :added, old_file: nil, source: file(dir, "new", beam)}
      ])

    assert found[module] == %{added: ["empty?/1", "names/1", "total/1"], changed: [], removed: []}
    assert found[Gone] == %{added: [], changed: [], removed: []}
    refute_received _
  end
end
