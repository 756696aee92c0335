"""Every reader on a miniature of the layout that the data set's owner gives out."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from facial_attributes_training.data.manifest import Row
from facial_attributes_training.prepare.excluded import Excluded
from facial_attributes_training.prepare.sources import SOURCES, TableOptions, read_csv, read_folders
from facial_attributes_training.prepare.sources.imdb_wiki import age_in_years
from scipy.io import loadmat, savemat

from facial_attributes_ros.errors import UserError


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(name: str, folder: Path) -> tuple[list[Row], list[Excluded]]:
    found = list(SOURCES[name].read(folder))
    rows = [entry for entry in found if isinstance(entry, Row)]
    return rows, [entry for entry in found if isinstance(entry, Excluded)]


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "manifest"])
def test_data_that_is_not_there_gets_a_sentence_on_its_owner(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="given out by") as error:
        list(SOURCES[name].read(tmp_path / "nowhere"))
    assert SOURCES[name].title in str(error.value)
    assert "://" not in str(error.value)


def test_fairface(tmp_path: Path) -> None:
    header = "file,age,gender,race,service_test"
    train = ("train/1.jpg,more than 70,Male,East Asian,True", "train/2.jpg,3-9,Female,Black,False")
    write(tmp_path / "fairface_label_train.csv", header, *train)
    write(
        tmp_path / "fairface_label_val.csv", header, "val/1.jpg,20-29,Female,White,True", "val/2.jpg,40ish,Male,White,1"
    )
    rows, excluded = read("fairface", tmp_path)
    assert rows[0] == Row(
        str(tmp_path / "train/1.jpg"),
        "train",
        "fairface",
        {"age": "70+", "gender": "male"},
        extra={"ethnicity": "East Asian"},
    )
    assert [row.split for row in rows] == ["train", "train", "val"]
    assert excluded[0].detail == "age '40ish'"


def rafdb(folder: Path) -> None:
    write(folder / "EmoLabel/list_patition_label.txt", "train_00001.jpg 5", "train_00002.jpg 9", "test_0001.jpg 1")
    landmarks = ["70.0\t90.0"] * 5
    write(folder / "Annotation/manual/train_00001_manu_attri.txt", *landmarks, "1", "2", "3")
    write(folder / "Annotation/manual/test_0001_manu_attri.txt", *landmarks, "2", "0", "2")


def test_rafdb(tmp_path: Path) -> None:
    rafdb(tmp_path)
    rows, excluded = read("raf-db", tmp_path)
    aligned = str(tmp_path / "Image/aligned/train_00001_aligned.jpg")
    labels = {"emotion": "sad", "gender": "female"}
    groups = {"ethnicity": "Asian", "age_range": "40-69"}
    assert rows[0] == Row(aligned, "train", "raf-db", labels, extra=groups)
    assert (rows[1].split, rows[1].labels) == ("test", {"emotion": "surprise"})
    assert excluded[0].reason == "label outside the range"
    (tmp_path / "Image/original").mkdir(parents=True)
    write(tmp_path / "Annotation/boundingbox/train_00001_boundingbox.txt", "10.5 20 110.5 140 ")
    write(tmp_path / "Annotation/boundingbox/test_0001_boundingbox.txt", "10 20")
    rows, _ = read("raf-db", tmp_path)
    assert rows[0].path == str(tmp_path / "Image/original/train_00001.jpg")
    assert rows[0].box == (10.5, 20, 100, 120)
    assert rows[1].box is None


def test_celeba_hq(tmp_path: Path) -> None:
    write(
        tmp_path / "CelebAMask-HQ-attribute-anno.txt",
        "3",
        "5_o_Clock_Shadow Male Young",
        "0.jpg  -1  1 -1",
        "1.jpg  -1 -1  1",
        "2.jpg   1  1  1",
    )
    write(
        tmp_path / "CelebA-HQ-to-CelebA-mapping.txt",
        "idx           orig_idx      orig_file",
        "0             119613        119614.jpg",
        "1             182636        182637.jpg",
        "2             182637        182638.jpg",
    )
    rows, _ = read("celeba-hq", tmp_path)
    assert [row.labels["gender"] for row in rows] == ["male", "female", "male"]
    assert [row.split for row in rows] == ["train", "val", "test"]
    assert rows[0].path == str(tmp_path / "CelebA-HQ-img/0.jpg")


def test_lagenda(tmp_path: Path) -> None:
    write(
        tmp_path / "lagenda_test.csv",
        "img_name,age,gender,face_x0,face_y0,face_x1,face_y1,person_x0,person_y0,person_x1,person_y1",
        "lag_benchmark/a.jpg,30,M,10,20,40,60,1,1,99,99",
        "lag_benchmark/a.jpg,-1,F,50,20,70,50,1,1,99,99",
        "lag_benchmark/a.jpg,-1,-1,80,20,90,50,1,1,99,99",
        "lag_benchmark/b.jpg,20,F,-1,-1,-1,-1,10,10,50,90",
    )
    rows, excluded = read("lagenda", tmp_path)
    assert rows[0].box == (10, 20, 30, 40)
    assert (rows[0].age_years, rows[0].labels) == (30, {"gender": "male", "age": "30-39"})
    assert (rows[1].age_years, rows[1].labels) == (None, {"gender": "female"})
    assert [entry.reason for entry in excluded] == ["no label", "no face"]
    assert {row.split for row in rows} == {"test"}


def test_utkface(tmp_path: Path) -> None:
    for name in ("26_1_2_20170116.jpg.chip.jpg", "100_0_4_20170110.jpg", "61_1_20170109.jpg", "20_3_0_20170109.jpg"):
        write(tmp_path / "part1" / name, "")
    rows, excluded = read("utkface", tmp_path)
    by_age = {row.age_years: row for row in rows}
    assert by_age[26].labels == {"gender": "female", "age": "20-29"}
    assert by_age[26].extra == {"ethnicity": "Asian"}
    assert by_age[100].labels == {"gender": "male", "age": "70+"}
    assert len(excluded) == 2


def test_affectnet_by_lists(tmp_path: Path) -> None:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    lists = tmp_path / "Manually_Annotated_file_lists"
    write(lists / "training.csv", header, "689/a.jpg,134,134,899,899,1;2,1,0.7,-0.1", "1/b.jpg,1,1,9,9,1,7,0,0")
    write(lists / "validation.csv", header, "2/c.jpg,1,2,3,4,1;2,6,0,0", "3/d.jpg,1,2,3,4,1,11,0,0")
    rows, excluded = read("affectnet", tmp_path)
    path = str(tmp_path / "Manually_Annotated_Images/689/a.jpg")
    assert rows[0] == Row(path, "train", "affectnet", {"emotion": "happy"}, box=(134, 134, 899, 899))
    assert (rows[1].split, rows[1].labels["emotion"]) == ("val", "angry")
    assert [entry.reason for entry in excluded] == ["emotion is contempt", "label outside the range"]


def test_affectnets_lists_without_names_of_columns_and_with_images_where_the_archives_unpack(tmp_path: Path) -> None:
    for name in ("training.csv", "validation.csv"):
        write(tmp_path / "Manually_Annotated_file_lists" / name, "9/a.jpg,1,2,30,40,1;2,0,0.1,0.1", "9/b.jpg,1,2")
    (tmp_path / "Manually_Annotated_compressed/Manually_Annotated_Images").mkdir(parents=True)
    rows, excluded = read("affectnet", tmp_path)
    path = str(tmp_path / "Manually_Annotated_compressed/Manually_Annotated_Images/9/a.jpg")
    assert rows[0] == Row(path, "train", "affectnet", {"emotion": "neutral"}, box=(1, 2, 30, 40))
    assert [entry.reason for entry in excluded] == ["line with too many or too few cells"] * 2


def test_affectnets_lists_without_names_of_columns_but_with_all_landmarks(tmp_path: Path) -> None:
    landmarks = ";".join("20.5" for _ in range(136))
    for name in ("training.csv", "validation.csv"):
        write(tmp_path / "Manually_Annotated_file_lists" / name, f"9/a.jpg,1,2,30,40,{landmarks},6,0.1,0.1")
    rows, excluded = read("affectnet", tmp_path)
    assert [(row.split, row.labels["emotion"]) for row in rows] == [("train", "angry"), ("val", "angry")]
    assert not excluded


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x03\x00{'(", b"\x93NUMPY\x09\x00"])
def test_a_damaged_annotation_of_affectnet_is_listed(data: bytes, tmp_path: Path) -> None:
    write(tmp_path / "train_set/images/0.jpg", "")
    write(tmp_path / "train_set/annotations/0_exp.npy", "").write_bytes(data)
    rows, excluded = read("affectnet", tmp_path)
    assert not rows
    assert "its annotation can't be read" in excluded[0].detail


def test_affectnet_by_annotation_files(tmp_path: Path) -> None:
    for number, expression in ((0, "0"), (2, "4"), (10, "3")):
        write(tmp_path / f"train_set/images/{number}.jpg", "")
        (tmp_path / "train_set/annotations").mkdir(exist_ok=True)
        np.save(tmp_path / f"train_set/annotations/{number}_exp.npy", np.array(expression))
    write(tmp_path / "val_set/images/1.jpg", "")
    rows, excluded = read("affectnet", tmp_path)
    assert [row.labels["emotion"] for row in rows] == ["neutral", "fear", "surprise"]
    assert excluded[0].reason == "no label"


def test_appa_real(tmp_path: Path) -> None:
    header = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age"
    for split, line in (
        ("train", "000000.jpg,36,5.1,1.1,4"),
        ("valid", "000001.jpg,36,30,3,28"),
        ("test", "2.jpg,1,1,1,"),
    ):
        write(tmp_path / f"gt_avg_{split}.csv", header, line)
    rows, excluded = read("appa-real", tmp_path)
    assert excluded[0].detail == "age in years ''"
    assert rows[0] == Row(str(tmp_path / "train/000000.jpg_face.jpg"), "train", "appa-real", {"age": "3-9"}, 4.0)
    assert rows[1].split == "val"
    assert len(excluded) == 1


def matlab_day(year: int, month: int, day: int) -> float:
    return datetime.date(year, month, day).toordinal() + 366.0


@pytest.mark.parametrize(
    ("born", "age"), [((1980, 1, 1), 30), ((1980, 7, 1), 30), ((1980, 7, 2), 29), ((1980, 12, 31), 29)]
)
def test_ages_are_counted_to_the_middle_of_the_year(born: tuple[int, int, int], age: int) -> None:
    assert age_in_years(matlab_day(*born), 2010) == age


Case = tuple[str, float, int, float, float, float]
"""Name, day of birth, year, gender, score of the face, score of a second face."""


def imdb_wiki(path: Path, cases: list[Case]) -> None:
    names, births, years, genders, scores, seconds = zip(*cases, strict=True)
    record = {
        "dob": np.array(births),
        "photo_taken": np.array(years, np.uint16),
        "full_path": np.array([f"01/{name}.jpg" for name in names], object),
        "gender": np.array(genders),
        "name": np.array(names, object),
        "face_location": np.array([np.zeros(4)] * len(cases) + [None], object)[:-1],
        "face_score": np.array(scores),
        "second_face_score": np.array(seconds),
    }
    path.parent.mkdir(exist_ok=True)
    savemat(path, {path.stem: record})


def test_imdb_and_wiki_side_by_side_even_with_one_image_each(tmp_path: Path) -> None:
    for name in ("imdb", "wiki"):
        imdb_wiki(tmp_path / f"{name}_crop" / f"{name}.mat", [(name, matlab_day(1970, 3, 5), 2000, 0.0, 4.5, np.nan)])
    rows, _ = read("imdb-wiki", tmp_path)
    assert [row.source for row in rows] == ["imdb-crop", "wiki-crop"]
    assert rows[1].path == str(tmp_path / "wiki_crop/01/wiki.jpg")


def test_imdb_wiki_with_the_filters_of_the_second_method(tmp_path: Path) -> None:
    nan, inf, born = np.nan, np.inf, matlab_day(1970, 3, 5)
    cases: list[Case] = [
        ("good", born, 2000, 1.0, 4.5, nan),
        ("no-face", born, 2000, 1.0, -inf, nan),
        ("two-faces", born, 2000, 1.0, 4.5, 2.0),
        ("low-score", born, 2000, 1.0, 3.5, nan),
        ("too-old", matlab_day(1850, 1, 1), 2000, 1.0, 4.5, nan),
        ("unborn", born, 1960, 1.0, 4.5, nan),
        ("no-date", 0.0, 2000, 1.0, 4.5, nan),
        ("no-gender", born, 2000, nan, 4.5, nan),
    ]
    imdb_wiki(tmp_path / "imdb.mat", cases)
    rows, excluded = read("imdb-wiki", tmp_path)
    assert rows[0] == Row(
        str(tmp_path / "01/good.jpg"),
        "",
        "imdb-crop",
        {"gender": "male", "age": "30-39"},
        30.0,
        extra={"identity": "good"},
    )
    assert [Path(row.path).stem for row in rows] == ["good", "no-gender"]
    assert {Path(entry.path).stem: entry.reason for entry in excluded} == {
        "no-face": "no face",
        "two-faces": "several faces",
        "low-score": "face score too low",
        "too-old": "label outside the range",
        "unborn": "label outside the range",
        "no-date": "label outside the range",
    }


def test_imdb_wiki_with_a_file_of_another_kind(tmp_path: Path) -> None:
    write(tmp_path / "imdb.mat", "text")
    with pytest.raises(UserError, match=r"not the \.mat file of IMDB-WIKI"):
        read("imdb-wiki", tmp_path)


def test_a_damaged_file_of_imdb_wiki_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "imdb.mat"
    imdb_wiki(path, [("a", matlab_day(1970, 3, 5), 2000, 0.0, 4.5, np.nan)])
    record = loadmat(path, struct_as_record=False, variable_names=["imdb"])["imdb"]
    savemat(path, {"imdb": record}, do_compression=True)
    assert len(read("imdb-wiki", tmp_path)[0]) == 1
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match="get it again"):
        read("imdb-wiki", tmp_path)


def test_vggface2(tmp_path: Path) -> None:
    write(
        tmp_path / "identity_meta.csv",
        "Class_ID, Name, Sample_Num, Flag, Gender",
        'n000001, "Some, Body", 424, 0, m',
        'n000002, "Else", 315, 1, f',
    )
    for name in ("test/n000001/0001_01.jpg", "test/n000002/0002_01.jpg"):
        write(tmp_path / name, "")
    rows, _ = read("vggface2", tmp_path)
    assert [row.labels for row in rows] == [{"gender": "male"}, {"gender": "female"}]
    write(tmp_path / "test.age_detected.csv", "n000001/0001_01.jpg,33.4", "n000002/0002_01.jpg,old")
    rows, excluded = read("vggface2", tmp_path)
    assert rows[0].path == str(tmp_path / "test/n000001/0001_01.jpg")
    assert (rows[0].age_years, rows[0].labels["age"]) == (33.4, "30-39")
    assert rows[0].extra == {"identity": "n000001"}
    assert (excluded[0].reason, excluded[0].detail) == ("label outside the range", "age in years 'old'")


def test_vggface2_with_its_lists_in_folders_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "meta/identity_meta.csv", "Class_ID, Name, Sample_Num, Flag, Gender", "n000001, X, 424, 0, m")
    write(tmp_path / "annotations/train.age_detected.csv", "n000001/0001_01.jpg,33.4")
    (tmp_path / "vggface2_train/train").mkdir(parents=True)
    rows, _ = read("vggface2", tmp_path)
    assert (rows[0].split, rows[0].labels["gender"]) == ("train", "male")
    assert rows[0].path == str(tmp_path / "vggface2_train/train/n000001/0001_01.jpg")


def test_the_label_files_of_the_thesis(tmp_path: Path) -> None:
    header = "Path,Gender,Age,Ethnicity,Facial Emotion,Identity"
    write(
        tmp_path / "labels/RAF-DB/train/labels.csv",
        "," + header,
        "0,datasets_with_standard_labels/RAF-DB/train/images_336/0.jpg,1,-100.0,-100.0,4,-100.0",
        "1,datasets_with_standard_labels/RAF-DB/train/images_336/1.jpg,-100,-100,-100,-100,-100",
    )
    write(
        tmp_path / "labels/UTK/test/labels.csv", header, r"datasets_with_standard_labels\UTK\test\images\7,0,8.0,3,9,"
    )
    (tmp_path / "datasets_with_standard_labels").mkdir()
    rows, excluded = read("reference", tmp_path / "labels")
    labels = {"gender": "female", "emotion": "sad"}
    root = tmp_path / "datasets_with_standard_labels"
    assert rows == [Row(str(root / "RAF-DB/train/images_336/0.jpg"), "train", "RAF-DB", labels)]
    assert [entry.reason for entry in excluded] == ["no label", "label outside the range"]
    assert excluded[1].path == str(root / "UTK/test/images/7.jpg")


def test_any_csv_with_its_own_names(tmp_path: Path) -> None:
    table = write(
        tmp_path / "people.csv",
        "file,Sex,Alter,camera,box_x,box_y,box_w,box_h",
        "a.jpg,M,31,left,1,2,30,40",
        "b.jpg,?,5,,,,,",
    )
    options = TableOptions({"path": "file", "gender": "Sex", "age_years": "Alter"}, {"gender": {"M": "male"}}, "lab")
    found = list(read_csv(table, options))
    assert found[0] == Row(
        str(tmp_path / "a.jpg"),
        "",
        "lab",
        {"gender": "male", "age": "30-39"},
        31.0,
        (1.0, 2.0, 30.0, 40.0),
        {"camera": "left"},
    )
    assert isinstance(found[1], Excluded)
    assert found[1].detail == "gender '?'"
    with pytest.raises(UserError, match="a manifest has no column sex"):
        list(read_csv(table, TableOptions({"sex": "Sex"})))
    with pytest.raises(UserError, match="has no column bild"):
        list(read_csv(table, TableOptions({"path": "bild"})))


def test_a_csv_with_every_kind_of_mistake(tmp_path: Path) -> None:
    table = write(
        tmp_path / "people.csv",
        "\ufeffpath;gender;age_years;age_group;box_x;box_y;box_w;box_h;",
        '"line\nbreak; and mark.jpg";male;;;;;;;',
        "Jörg.jpg;FEMALE;30;30-39;;;;;",
        "too,few",
        "a.jpg;male;30;20-29;;;;;",
        "a.jpg;male;130;;;;;;",
        "a.jpg;male;thirty;;;;;;",
        "a.jpg;man;;;;;;;",
        "a.jpg;male;;;1;2;3;;",
        "a.jpg;male;;;nan;2;3;4;",
        "a.jpg;;;;;;;;",
        ";male;;;;;;;",
    )
    found = list(read_csv(table, TableOptions(pictures=tmp_path / "pictures")))
    rows = [entry for entry in found if isinstance(entry, Row)]
    assert [Path(row.path).name for row in rows] == ["line\nbreak; and mark.jpg", "Jörg.jpg"]
    assert rows[0].path.startswith(str(tmp_path / "pictures"))
    assert rows[1].labels == {"gender": "female", "age": "30-39"}
    assert [(entry.reason, entry.detail) for entry in found if isinstance(entry, Excluded)] == [
        ("line with too many or too few cells", ""),
        ("label outside the range", "age in years 30 is not in age group '20-29'"),
        ("label outside the range", "age in years '130'"),
        ("label outside the range", "age in years 'thirty'"),
        ("label outside the range", "gender 'man'"),
        ("no box", "1, 2, 3, "),
        ("no box", "nan, 2, 3, 4"),
        ("no label", ""),
        ("no image named", ""),
    ]
    assert f"{table}, line 5" in [entry.path for entry in found if isinstance(entry, Excluded)]


@pytest.mark.parametrize("after", [["c.jpg,male,ok"], ["c.jpg,male,\"5' tall", "d.jpg,male,ok"]])
def test_a_quotation_mark_that_is_left_open_is_refused_with_its_line(after: list[str], tmp_path: Path) -> None:
    table = write(tmp_path / "people.csv", "path,gender,note", "a.jpg,male,ok", "b.jpg,male,\"6' tall", *after)
    with pytest.raises(UserError, match=r"people\.csv can't be read as CSV from line 3 on"):
        list(read_csv(table, TableOptions()))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "people.csv", "path,gender,gender,,", "a.jpg,male,female,,")
    with pytest.raises(UserError, match="has the column gender more than once"):
        list(read_csv(table, TableOptions()))


def test_blanks_around_names_of_columns_do_not_count(tmp_path: Path) -> None:
    table = write(tmp_path / "people.csv", "path , gender\t,camera ", "a.jpg,male,left")
    found = list(read_csv(table, TableOptions()))
    assert found == [Row(str(tmp_path / "a.jpg"), "", "people", {"gender": "male"}, extra={"camera": "left"})]


def test_a_csvs_names_of_splits_are_those_of_folders(tmp_path: Path) -> None:
    names = ("Training", "valid", "validation", "VAL", "Test", "testing", "Fold-1", "")
    table = write(tmp_path / "people.csv", "path,gender,split", *(f"a.jpg,male,{name}" for name in names))
    rows = [entry for entry in read_csv(table, TableOptions()) if isinstance(entry, Row)]
    assert [row.split for row in rows] == ["train", "val", "val", "val", "test", "test", "Fold-1", ""]


def test_a_csv_in_another_encoding_and_labels_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("path,gender\nJörg.jpg,male\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        list(read_csv(tmp_path / "latin.csv", TableOptions()))
    with pytest.raises(UserError, match="gender can't be man; it is one of male, female"):
        list(read_csv(tmp_path / "latin.csv", TableOptions(values={"gender": {"M": "man"}})))


def test_folders_named_as_their_labels(tmp_path: Path) -> None:
    for name in ("train/angry/0.jpg", "valid/Happy/female/1.PNG", "other/2.jpg", "sad/happy/3.jpg", "sad/notes.txt"):
        write(tmp_path / name, "")
    options = TableOptions(values={"emotion": {"other": "neutral"}}, source="lab")
    found = list(read_folders(tmp_path, options))
    rows = {Path(row.path).stem: row for row in found if isinstance(row, Row)}
    assert rows["0"] == Row(str(tmp_path / "train/angry/0.jpg"), "train", "lab", {"emotion": "angry"})
    assert (rows["1"].split, rows["1"].labels) == ("val", {"emotion": "happy", "gender": "female"})
    assert rows["2"].labels == {"emotion": "neutral"}
    excluded = [entry for entry in found if isinstance(entry, Excluded)]
    assert [(entry.reason, Path(entry.path).stem) for entry in excluded] == [("label outside the range", "3")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="contains no images"):
        list(read_folders(tmp_path / "empty", options))


@pytest.mark.parametrize(
    ("folder", "option"),
    [
        ("train/anger", "--value emotion:anger=angry"),
        ("Happiness", "--value emotion:Happiness=happy"),
        ("women", "--value gender:women=female"),
        ("20-30", "--value age_group:20-30=LABEL"),
        ("my lab", "--value emotion:'my lab'=LABEL"),
        ("train", "it is in no folder with the name of a label"),
    ],
)
def test_a_folder_that_is_no_label_is_named_with_the_option_that_maps_it(
    tmp_path: Path, folder: str, option: str
) -> None:
    write(tmp_path / folder / "0.jpg", "")
    (entry,) = read_folders(tmp_path, TableOptions())
    assert isinstance(entry, Excluded)
    assert entry.reason == "no label"
    assert option in entry.detail
