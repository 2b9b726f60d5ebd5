"""What is published of the classifier, and where."""

MODEL = "dmasking_l3"
#: mobile_cv's model_info_dmasking.json at b95ef336; the repository puts its code and models under CC BY-NC 4.0.
PUBLISHED_AT = "https://dl.fbaipublicfiles.com/fbnet/models/20200105/melBmS/dmasking_l3_f156819299/model.pth"
